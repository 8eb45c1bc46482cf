"""Mixers that several models share, with the parameters left to them or to options."""
