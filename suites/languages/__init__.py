"""The Chomsky ladder: languages that need no memory but a state, then a stack, then a tape."""
