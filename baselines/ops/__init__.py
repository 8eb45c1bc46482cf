"""The mathematics that models share: each fast operator beside its naive twin."""

PLUGINS = False  # what models share; nothing in here is one
