"""The parent: gives every measurement a process of its own, within limits, and keeps the answers.

A side that takes too long or too much memory ends its own process: its row gets a reason.
"""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec

from harness.measure.machine import pinned_environment

from .ask import Answer, Ask, Bounds
from .store import Store

ROOT = Path(__file__).parents[2]
LAST_WORDS = 200
"""Characters kept of what a child said before it ended."""


def measure(ask: Ask, bounds: Bounds, store: Store) -> None:
    """Measure and keep the answer; where two sides cannot be timed together, each is alone."""
    answer = asked(ask, bounds)
    store.add(ask, answer)
    if answer.reason and len(ask.sides) > 1:
        for alone in one_by_one(ask):
            store.add(alone, asked(alone, bounds))


def one_by_one(ask: Ask) -> list[Ask]:
    """Return one ask for each side."""
    return [replace(ask, sides=(side,)) for side in ask.sides]


def asked(ask: Ask, bounds: Bounds) -> Answer:
    """Let a child measure, and say why if it cannot."""
    said = child("--answer", msgspec.json.encode((ask, bounds)), bounds.timeout_s)
    return Answer(reason=said) if isinstance(said, str) else msgspec.json.decode(said, type=Answer)


def traits() -> dict[str, dict[str, bool]] | str:
    """Ask every model about itself, all in one child; a sentence if one cannot be built."""
    said = child("--traits", b"", None)
    if isinstance(said, str):
        return said
    found: dict[str, dict[str, bool]] = json.loads(said)
    return found


def child(flag: str, text: bytes, timeout_s: float | None) -> bytes | str:
    """Run a child and return what it wrote, or in words what became of it."""
    command = [sys.executable, "-m", "benchmarks.peers", flag]
    try:
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            check=False,
            cwd=ROOT,
            env=pinned_environment(),
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        return f"It took more than {timeout_s:g} s."
    if not done.returncode:
        return done.stdout.splitlines()[-1]
    words = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"code {done.returncode}"
    return f"Its process ended with {how}: {words[0][:LAST_WORDS]}"
