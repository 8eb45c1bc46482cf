"""Checks every plugin in a process of its own: one that crashes takes no other along."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from textwrap import fill
from typing import Any

import msgspec

from harness.core.errors import SpecError
from harness.core.plugin_names import Kind
from harness.measure.clock import now
from harness.measure.machine import python
from harness.plugins.registry import registry

OUTCOMES = ("passed", "failed", "not-checked", "not-applicable")
HEADING = (
    f"{'kind':<6} {'name':<33} {'passed':>6} {'failed':>6} {'not checked':>11} {'n/a':>4} {'s':>7}"
)
ABSENCE = """
import sys
from harness.measure.device import absence
sys.stdout.write(absence(sys.argv[1]))
"""


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


def command(kind: str, name: str, plugins: tuple[str, ...], device: str = "cpu") -> list[str]:
    """Return the command line that checks one plugin; kind `auto` looks the name up.

    With `-P` the present folder hides no installed plugin from a child, as it hides none from us.
    """
    extra = [word for path in plugins for word in ("--plugin", path)]
    return python("-m", "harness.testing", kind, name, "--device", device, *extra)


def environment(encoding: str) -> dict[str, str]:
    """Return the environment of a child that writes in an encoding, and what it lacks as `?`."""
    return {**os.environ, "PYTHONIOENCODING": f"{encoding}:replace"}


def refuse_absent(device: str) -> None:
    """Ask a child whether this machine has a device; here is no torch.

    Raises:
        SpecError: It has not.
    """
    if device == "cpu":
        return
    done = subprocess.run(
        python("-c", ABSENCE, device), capture_output=True, check=False, env=environment("utf-8")
    )
    if said := (done.stdout or done.stderr).decode(errors="replace").strip():
        raise SpecError(said.splitlines()[-1])


def check_all(plugins: tuple[str, ...] = (), device: str = "cpu") -> Iterator[Verdict]:
    """Check every model and every task, and yield a verdict as soon as it is known.

    On another device than a CPU models only: a task is the same everywhere.
    """
    kinds: tuple[Kind, ...] = ("model", "task") if device == "cpu" else ("model",)
    for kind in kinds:
        for name in registry(plugins).of(kind):
            yield verdict(kind, name, plugins, device)
    none = dict.fromkeys(OUTCOMES, 0)
    for entry in registry(plugins).broken():
        yield Verdict(entry.kind, entry.name, none, [f"It is broken: {entry.error}"], 0.0)


def verdict(
    kind: Kind,
    name: str,
    plugins: tuple[str, ...],
    device: str = "cpu",
    limit_s: float | None = None,
) -> Verdict:
    """Check one plugin with its default options, for so many seconds at most."""
    start = now()
    words = [*command(kind, name, plugins, device), "--json"]
    stopped = ""
    try:
        done = subprocess.run(
            words, capture_output=True, check=False, env=environment("utf-8"), timeout=limit_s
        )
    except subprocess.TimeoutExpired as error:
        stopped = f"It was stopped after {limit_s:.0f} s."
        done = subprocess.CompletedProcess(words, 0, error.stdout or b"", b"")
    whole = (line for line in done.stdout.splitlines() if line.endswith(b"}"))
    results: list[dict[str, Any]] = list(map(msgspec.json.decode, whole))
    counts = {what: sum(r["outcome"] == what for r in results) for what in OUTCOMES}
    complaints = [f"{r['name']}: {r['reason']}" for r in results if r["outcome"] == "failed"]
    unmade = [r["reason"] for r in results if r["outcome"] == "not-checked"]
    if done.returncode and not complaints + unmade:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [
            f"ended with code {done.returncode}"
        ]
        complaints = [f"It cannot be checked: {last[0]}"]
    unchecked = unmade[0] if unmade else stopped
    return Verdict(kind, name, counts, complaints, now() - start, unchecked)
