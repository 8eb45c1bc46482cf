"""The only place that reads clocks, memory and the machine."""
