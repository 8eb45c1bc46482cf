"""Time and memory against length, up to 262,144 positions."""
