"""What a check is, and what comes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, final
from unittest import SkipTest

CheckOutcome = Literal["passed", "failed", "not-checked", "not-applicable"]
"""Not checked: what the check looks at is not here, so nobody knows what would come of it."""


class CheckError(AssertionError):
    """A plugin breaks the contract: what failed and where, in one sentence."""


class DisagreementError(CheckError):
    """Two derivations of the same numbers differ."""


class NotApplicableError(SkipTest):
    """A check has nothing to say about a plugin, and why. Test runners show it as skipped."""


@final
@dataclass(frozen=True)
class Check:
    """One rule of the contract, with the way to find out whether a plugin keeps it."""

    name: str
    sentence: str
    """The rule."""
    run: Callable[[Any, str], None]

    def __call__(self, recipe: Any, device: str = "cpu") -> None:
        """Check a recipe.

        Args:
            recipe: Of a model or of a task.
            device: Where a model's networks compute; a task is the same everywhere.

        Raises:
            CheckError: It breaks the rule.
            NotApplicableError: The rule does not concern it.
        """
        self.run(recipe, device)

    def __str__(self) -> str:
        return self.name


@final
@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What came of one check."""

    name: str
    outcome: CheckOutcome
    sentence: str
    """The rule."""
    reason: str
    """What failed and where, or why it was not made or does not apply; empty if it passed."""
    seconds: float


def check(rule: Callable[[Any], None]) -> Check:
    """Make a check of a function of a recipe, for which the device makes no difference."""
    return check_on_device(lambda recipe, _: rule(recipe), rule)


def check_on_device(
    run: Callable[[Any, str], None], rule: Callable[..., object] | None = None
) -> Check:
    """Make a check of a function; its name and the first line of its docstring name the rule.

    Args:
        run: What checks a recipe on a device.
        rule: Where name and docstring stand, if `run` is a wrapper.
    """
    rule = rule or run
    assert rule.__doc__
    return Check(rule.__name__.replace("_", "-"), rule.__doc__.partition("\n")[0], run)
