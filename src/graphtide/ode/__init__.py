"""Integration of ordinary differential equations, and gradients through it."""
