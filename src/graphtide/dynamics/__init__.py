"""Dynamics on graphs: simulate, learn and predict the states of nodes through time."""
