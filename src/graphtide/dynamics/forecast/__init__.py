"""Forecasts of structured sequences: from the last k readings of a network to the next h."""
