"""Conformance checks: what every model and every task must do, ours and other people's.

In a test, `@pytest.mark.parametrize("check", checks_for(recipe), ids=str)` and call
`check(recipe)`; a check that does not apply skips. On the command line, `ssm-bench check NAME`.
"""

from harness.testing.check import Check, CheckError, CheckResult, NotApplicableError
from harness.testing.learning_tasks import fingerprint
from harness.testing.run import checks_for, kind_of, run_checks
from harness.testing.tiny_tasks import TinyTask, features_task
from harness.testing.tolerance import TOLERANCE, Tolerance, agree

__all__ = [
    "TOLERANCE",
    "Check",
    "CheckError",
    "CheckResult",
    "NotApplicableError",
    "TinyTask",
    "Tolerance",
    "agree",
    "checks_for",
    "features_task",
    "fingerprint",
    "kind_of",
    "run_checks",
]
