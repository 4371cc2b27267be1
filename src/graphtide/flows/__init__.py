"""Normalizing flows: invertible maps with their log-determinants, and densities made of them."""
