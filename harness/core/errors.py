"""Errors that are told to people in one sentence, or become the outcome of a run."""

from difflib import get_close_matches

MANY = 20
"""Names that a sentence may list."""
LONG = 80
"""Letters of what a user wrote that a sentence quotes."""


class SpecError(ValueError):
    """A user's mistake, told in one sentence: what was wrong, what was wanted, what to do."""


class UnknownNameError(SpecError):
    """A name that no plugin, option or preset has; the message holds the near misses."""


class UnsupportedError(Exception):
    """A component says that it cannot do what was asked, and why. Becomes the outcome `skipped`."""


class DivergedError(Exception):
    """A training's loss is no longer a number. Becomes the outcome `diverged`."""


def out_of_memory(error: Exception) -> bool:
    """Tell an allocation that failed, on whatever device, from other errors."""
    text = str(error)
    return (
        isinstance(error, MemoryError) or "can't allocate memory" in text or "out of memory" in text
    )


def quoted(text: str) -> str:
    """Quote what a user wrote; of a long text its beginning."""
    return repr(text) if len(text) <= LONG else f"{text[:LONG]!r}... ({len(text):,} characters)"


def brief(error: BaseException) -> str:
    """Return what an error says, in one line; of long words, which may quote a file, both ends."""
    words = " ".join(str(error).split())
    return words if len(words) <= 4 * LONG else f"{words[: 2 * LONG]} ... {words[-LONG:]}"


def unknown(kind: str, name: str, known: list[str]) -> UnknownNameError:
    """Build the error for a name nobody has: the near miss first, then what is known.

    Of many names, only those that are most like it are told.
    """
    like = name[:LONG]
    near = get_close_matches(like, known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    told, which = known, "Known"
    if len(known) > MANY:
        told, which = get_close_matches(like, known, n=MANY, cutoff=0), f"Nearest of {len(known)}"
    listing = ", ".join(sorted(told)) or "none"
    return UnknownNameError(f"No {kind} is called {quoted(name)}.{hint} {which}: {listing}.")
