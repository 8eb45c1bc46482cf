"""Words in one second of raw sound, 16,000 samples."""
