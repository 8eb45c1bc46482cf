"""The probes of mechanistic architecture design (arXiv 2403.17844), with generators of our own."""
