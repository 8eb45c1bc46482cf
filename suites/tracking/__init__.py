"""State tracking: what a sequence has come to so far, also far beyond the training lengths."""
