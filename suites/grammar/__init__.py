"""Strings of an artificial grammar, not all of which is text."""
