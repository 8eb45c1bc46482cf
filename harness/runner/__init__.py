"""Plans runs, hands them to an executor, stores what became of them."""
