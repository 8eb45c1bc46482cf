"""Retrieval: finding in the context what was said once, at the place where it is asked for."""
