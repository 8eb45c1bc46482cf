"""Conformance checks: what every model and every task must do, ours and other people's.

In a test, `@pytest.mark.parametrize("check", checks_for(recipe), ids=str)` and call
`check(recipe)`; a check that does not apply skips. On the command line, `ssm-bench check NAME`.
"""

from harness.testing.check import Check, CheckError, NotApplicableError, Result
from harness.testing.learning import fingerprint
from harness.testing.run import checks_for, kind_of, run_checks
from harness.testing.tolerance import TOLERANCE, Tolerance

__all__ = [
    "TOLERANCE",
    "Check",
    "CheckError",
    "NotApplicableError",
    "Result",
    "Tolerance",
    "checks_for",
    "fingerprint",
    "kind_of",
    "run_checks",
]
