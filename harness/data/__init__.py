"""Where examples come from: generated, cached on disk, read from files that are fetched."""
