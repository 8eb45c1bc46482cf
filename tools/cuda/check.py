"""Tries everything on a GPU, in minutes: `python tools/cuda/check.py --out FOLDER`.

It runs the tests that need a GPU, compares every layer by the kernels that it runs with exact
numbers, checks conformance, measures every model beside attention and other people's layers in two
precisions, and looks into the slowest. Each part has a share of
the time and leaves what it has as it goes; what one saves goes to the next. Cut short (SIGTERM), it
still writes tables and figures, and says how far it came. Run again with the same folder, it goes
on.
"""

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

if __package__:
    from .entry import ROOT, reachable
else:  # run as a script, from anywhere
    sys.path[0] = str(Path(__file__).parents[2])
    from tools.cuda.entry import ROOT, reachable

Part = Callable[[Any, float], Iterator[str]]
SHARES = {
    "tests": 0.1,
    "kernels": 0.15,
    "conformance": 0.2,
    "scaling": 0.4,
    "profiles": 0.1,
    "reported": 0.05,
}
"""Of the time, for each part of `parts`."""
SMALL: dict[str, Any] = {
    "device": "cpu",
    "models": ("transformer", "s4d"),
    "checked": ("chance",),
    "peers": (),
    "lengths": (32, 64),
    "width": 8,
    "budget_s": 0.1,
}
"""What is pretended: the same on a CPU, a few models at sizes that prove nothing."""


class StoppedError(Exception):
    """Somebody ends the check from outside."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, and leave records, tables and figures.

    Returns:
        0; 1 if it was cut short or a part broke; 2 if there is no GPU.
    """
    parser = argparse.ArgumentParser(prog="python tools/cuda/check.py", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300, help="all that it may take (300)")
    parser.add_argument("--out", type=Path, default=ROOT / ".benchmarks" / "cuda")
    parser.add_argument("--pretend", action="store_true", help="a CPU, few models, small sizes")
    asked = parser.parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    reachable(asked.out / "entry")
    from harness.core.errors import SpecError  # noqa: PLC0415 - it is reachable from here on
    from harness.measure.clock import now  # noqa: PLC0415
    from harness.plugins.check_all import refuse_absent  # noqa: PLC0415
    from tools.cuda import parts  # noqa: PLC0415

    given = parts.Given(out=asked.out, **(SMALL if asked.pretend else {}))
    try:
        refuse_absent(given.device)
    except SpecError as error:
        sys.stderr.write(f"{str(error).partition(';')[0]}; --pretend goes through on a CPU.\n")
        return 2
    tell = Teller(asked.out / "check.md", now)
    if asked.pretend:
        tell(f"Pretended on a CPU, which proves nothing of a GPU: {SMALL}.")
    several = {name: getattr(parts, name) for name in SHARES}
    return through(given, several, asked.seconds, tell, now)


class Teller:
    """Says a sentence, and when, to whoever looks, and writes it down."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.path, self.clock, self.start = path, clock, clock()
        path.write_text("# The check of a GPU\n\n", encoding="utf-8")

    def __call__(self, sentence: str) -> None:
        """Say it."""
        line = f"{self.clock() - self.start:3.0f} s, {sentence}\n"
        sys.stdout.write(line)
        sys.stdout.flush()
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"- {line}")


def through(
    given: Any,
    parts: dict[str, Part],
    seconds: float,
    tell: Callable[[str], None],
    clock: Callable[[], float],
) -> int:
    """Go through the parts; the last one, which writes the report, is done in any case.

    Returns:
        0, or 1 if it was cut short or a part broke.
    """
    end, rest, whole = clock() + seconds, 1.0, True
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, stop)
    *names, last = parts
    try:
        for name in names:
            until = clock() + (end - clock()) * SHARES[name] / rest
            rest -= SHARES[name]
            whole &= ended(name, parts[name](given, until), tell)
    except StoppedError:
        tell(f"{name}: It was stopped here; later parts were not begun.")
        whole = False
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return int(not (ended(last, parts[last](given, end), tell) and whole))


def ended(name: str, sentences: Iterator[str], tell: Callable[[str], None]) -> bool:
    """Tell what a part says; return whether it came to its end, and cost no other part if not."""
    try:
        for sentence in sentences:
            tell(f"{name}: {sentence}")
    except StoppedError:
        raise
    except Exception as error:
        tell(f"{name}: It broke: {type(error).__name__}: {error}")
        return False
    return True


def stop(*_: object) -> NoReturn:
    """End what runs; threads would wait for their children."""
    import psutil  # noqa: PLC0415 - the project's dependencies are reachable by now

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for child in psutil.Process().children(recursive=True):
        child.kill()
    raise StoppedError


if __name__ == "__main__":
    sys.exit(main())
