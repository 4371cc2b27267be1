"""Mechanisms: the differential equation behind what was observed."""
