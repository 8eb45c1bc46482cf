"""Where runs are executed: one file an executor, one small interface."""
