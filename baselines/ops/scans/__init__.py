"""Recurrences over time, computed for many positions at once."""
