"""Layers that networks are rebuilt with."""
