"""What plugins and the backbone share: the backbone, position-wise maps, norms."""
