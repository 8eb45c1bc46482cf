"""Values that every room may hold: configurations, errors, records, messages, streams."""
