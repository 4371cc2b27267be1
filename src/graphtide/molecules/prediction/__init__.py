"""Predict properties of molecules, with intervals and with the limits of what is known."""

from graphtide.molecules.prediction.model import Prediction, PropertyModel
from graphtide.molecules.prediction.saving import load_property_model, save_property_model

__all__ = ["Prediction", "PropertyModel", "load_property_model", "save_property_model"]
