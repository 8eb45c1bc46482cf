"""Learning from the examples in the context, without any change of weights."""
