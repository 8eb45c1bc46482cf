"""The mathematics that models share: each fast operator beside its naive twin."""
