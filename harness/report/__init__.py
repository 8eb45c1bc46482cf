"""Tables, figures and the page made from cells; never torch."""
