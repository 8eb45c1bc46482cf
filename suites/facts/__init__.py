"""Facts among noise that have to be put together."""
