"""The synthetic sequence-to-sequence tasks of the DLR paper (arXiv 2212.00768)."""
