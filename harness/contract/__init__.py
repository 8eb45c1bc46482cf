"""The parts of the contract; plugins import them from `harness.api`."""
