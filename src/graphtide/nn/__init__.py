"""Layers whose depth is time: residual, recurrent and graph networks as differential equations."""
