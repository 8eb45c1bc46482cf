"""One training as a record wants it: the loop, the scores, the memory of a step."""
