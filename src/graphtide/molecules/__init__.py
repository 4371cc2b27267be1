"""Molecules as graphs: learn P(G), generate new ones, predict f(G), turn G into a better G'."""
