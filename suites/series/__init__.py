"""Long series with something in them."""
