"""What an option of a task may be, said in a sentence that names it."""

import dataclasses
from collections.abc import Mapping

from harness.api import LearningTask, SpecError

MOST = 2**20
"""Four times the longest sequence of `scaling`; what is larger fits into no memory here."""


def within(name: str, value: int, least: int, most: int = MOST) -> None:
    """Check an option.

    Raises:
        SpecError: The value is too small or too large.
    """
    if value < least:
        raise SpecError(f"The option {name!r} must be at least {least}, not {value}.")
    if value > most:
        raise SpecError(f"The option {name!r} must be at most {most:,}, not {value:,}.")


def by_default(task: LearningTask, figures: Mapping[str, float], *but: str) -> Mapping[str, float]:
    """Return figures that were measured at a task's default options; of any others none.

    Args:
        task: A recipe.
        figures: What was measured.
        but: Options that move no figure, such as how many examples are drawn.
    """
    options = dataclasses.fields(task)  # type: ignore[arg-type] # every recipe is a dataclass
    as_measured = all(o.name in but or getattr(task, o.name) == o.default for o in options)
    return figures if as_measured else {}
