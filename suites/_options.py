"""What an option of a task may be, said in a sentence that names it."""

from harness.api import SpecError

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
