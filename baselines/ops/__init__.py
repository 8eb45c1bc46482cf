"""The mathematics that models share, by kind: each fast operator beside its naive twin."""

PLUGINS = False
"""No file in this package is a model."""
