"""Dynamical-systems analysis of an equation or of a learned field on a graph."""
