"""Spread on a graph, event by event: epidemics, independent cascades, linear thresholds."""
