"""`python -m harness.cli` is `ssm-bench`."""

from harness.cli import main

main()
