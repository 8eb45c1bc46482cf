"""What was measured, kept as JSON lines, so that an interrupted run goes on where it stopped."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from harness.measure import machine
from harness.measure.clock import today

from .ask import Answer, Ask

PACKAGES = ("mambapy", "s5-pytorch", "transformers")


@dataclass(frozen=True)
class Stored:
    """An answer with where and when it was found."""

    ask: Ask
    answer: Answer
    machine: dict[str, Any]

    def settled(self) -> bool:
        """Return whether asking again now, with the same code, would measure the same thing."""
        here = machine.facts()
        known = bool(here["commit"]) and not here["dirty"] and not self.machine["dirty"]
        return known and here["commit"] == self.machine["commit"] and not self.answer.reason


class Store:
    """A file of answers; the last one to an ask counts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        read = [msgspec.json.decode(line, type=Stored) for line in lines]
        self.answers = {stored.ask: stored for stored in read}

    def add(self, ask: Ask, answer: Answer) -> None:
        """Keep an answer, with the machine's facts and its present load."""
        present = {
            **machine.facts(),
            "load": machine.conditions()["load"],
            "measured": today(),
            "peers": {name: machine.installed(name) for name in PACKAGES},
        }
        stored = Stored(ask, answer, present)
        self.answers[ask] = stored
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(msgspec.json.encode(stored) + b"\n")
