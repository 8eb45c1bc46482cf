"""Checks every plugin in a process of its own: one that crashes takes no other along."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from textwrap import fill
from typing import Any

import msgspec

from harness.core.plugin_names import Kind
from harness.measure.clock import now
from harness.measure.machine import python
from harness.plugins.registry import registry

OUTCOMES = ("passed", "failed", "not-checked", "not-applicable")
HEADING = (
    f"{'kind':<6} {'name':<33} {'passed':>6} {'failed':>6} {'not checked':>11} {'n/a':>4} {'s':>7}"
)


@dataclass(frozen=True)
class Verdict:
    """What came of the checks of one plugin."""

    kind: str
    name: str
    counts: dict[str, int]
    """Checks by outcome."""
    complaints: list[str]
    """A sentence for each check that failed, or for what kept them from being made."""
    seconds: float
    unchecked: str = ""
    """Why checks could not be made, which is no complaint."""

    def as_json(self) -> bytes:
        """Write it for scripts."""
        return msgspec.json.encode(self)

    def as_text(self, width: int) -> str:
        """Write its row, and below it every complaint, in lines of a terminal's width."""
        passed, failed, unmade, apart = (self.counts[outcome] for outcome in OUTCOMES)
        row = f"{self.kind:<6} {self.name:<33} {passed:>6} {failed:>6} {unmade:>11} {apart:>4}"
        told = [*self.complaints, *([f"Not checked: {self.unchecked}"] if self.unchecked else [])]
        below = partial(fill, width=width, initial_indent="  ", subsequent_indent="    ")
        told = [below(each, break_long_words=False, break_on_hyphens=False) for each in told]
        return "\n".join([f"{row} {self.seconds:>7.1f}", *told])


def command(kind: str, name: str, plugins: tuple[str, ...]) -> list[str]:
    """Return the command line that checks one plugin; kind `auto` looks the name up.

    With `-P` the present folder hides no installed plugin from a child, as it hides none from us.
    """
    extra = [word for path in plugins for word in ("--plugin", path)]
    return python("-m", "harness.testing", kind, name, *extra)


def environment(encoding: str) -> dict[str, str]:
    """Return the environment of a child that writes in an encoding, and what it lacks as `?`."""
    return {**os.environ, "PYTHONIOENCODING": f"{encoding}:replace"}


def check_all(plugins: tuple[str, ...] = ()) -> Iterator[Verdict]:
    """Check every model and every task, and yield a verdict as soon as it is known."""
    kinds: tuple[Kind, ...] = ("model", "task")
    for kind in kinds:
        for name in registry(plugins).of(kind):
            yield verdict(kind, name, plugins)
    none = dict.fromkeys(OUTCOMES, 0)
    for entry in registry(plugins).broken():
        yield Verdict(entry.kind, entry.name, none, [f"It is broken: {entry.error}"], 0.0)


def verdict(kind: Kind, name: str, plugins: tuple[str, ...]) -> Verdict:
    """Check one plugin with its default options."""
    start = now()
    done = subprocess.run(
        [*command(kind, name, plugins), "--json"],
        capture_output=True,
        check=False,
        env=environment("utf-8"),
    )
    results: list[dict[str, Any]] = list(map(msgspec.json.decode, done.stdout.splitlines()))
    counts = {what: sum(r["outcome"] == what for r in results) for what in OUTCOMES}
    complaints = [f"{r['name']}: {r['reason']}" for r in results if r["outcome"] == "failed"]
    unmade = [r["reason"] for r in results if r["outcome"] == "not-checked"]
    if done.returncode and not complaints + unmade:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [
            f"ended with code {done.returncode}"
        ]
        complaints = [f"It cannot be checked: {last[0]}"]
    return Verdict(kind, name, counts, complaints, now() - start, unmade[0] if unmade else "")
