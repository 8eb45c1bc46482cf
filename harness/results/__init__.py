"""Records on disk, their aggregation, statistics and comparison. No torch."""
