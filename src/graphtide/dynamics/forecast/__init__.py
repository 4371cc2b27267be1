"""Forecasts of structured sequences: from the last k readings of a network to the next h."""

from graphtide.dynamics.forecast.forecast import MODELS, Forecast, forecast

__all__ = ["MODELS", "Forecast", "forecast"]
