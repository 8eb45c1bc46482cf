"""Checkpoints: all that a training needs to go on as if nothing had ended it.

A file is written aside, is on the disk before it gets its name, and holds in that name the digest
of its bytes. So what a kill, a full disk or a careless copy tore is known, and the one before
stands. It is read as numbers and text only: a pickle that would run code is refused by torch.
"""

import copy
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch

from harness.core import codec
from harness.core.errors import brief, out_of_memory
from harness.core.messages import Planned
from harness.core.notify import inform
from harness.core.record import digests
from harness.measure.clock import now

KEPT = 2
"""Checkpoints of a run that stay: the newest, and one in case that it is damaged."""


Agreement = Callable[[list[Path]], list[Path]]


def same(files: list[Path]) -> list[Path]:
    """Return some files: there is one rank, and it agrees with itself."""
    return files


class Stateful(Protocol):
    """What can say its state and take one over, as torch's modules and optimisers do."""

    def state_dict(self) -> dict[str, Any]:
        """Return tensors, numbers, text, and containers of them."""

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Be as when `state_dict` returned this."""


@dataclass
class Checkpoints:
    """Those of one run, made by one code."""

    folder: Path
    """The run's, in which each code has a folder of its own."""
    every_s: float
    """Seconds from the end of one writing to the beginning of the next."""
    code: str
    """What must not have changed for a training to go on."""
    written: float = field(default_factory=now)

    @classmethod
    def of(cls, planned: Planned, folder: Path, every_s: float) -> "Checkpoints":
        """Return those of a run: its whole training, its plugins' code and torch must stay."""
        parts = [
            codec.builtins(planned.spec.training),
            digests(planned.sources),
            str(torch.__version__),
        ]
        return cls(folder, every_s, hashlib.sha256(codec.encode(parts)).hexdigest()[:16])

    def within(self, name: str) -> "Checkpoints":
        """Return those of a part of the training."""
        return replace(self, folder=self.folder / name)

    @property
    def due(self) -> bool:
        """Whether it is time for the next one."""
        return now() - self.written >= self.every_s

    def write(self, step: int, parts: Mapping[str, Stateful], *, here: bool = True) -> None:
        """Write the state of a training after a step, and let the oldest go.

        A disk that is full costs the checkpoint and not the training. Of several ranks one writes
        what all say.
        """
        state = {name: each.state_dict() for name, each in parts.items()}
        if here:
            self._write(step, state)
        self.written = now()

    def _write(self, step: int, state: Mapping[str, Any]) -> None:
        try:
            with aside(self.folder / self.code) as part:
                with part.open("wb") as file:
                    torch.save(state, file)
                settle(part, part.with_name(f"{step:012}-{_digest(part)}.pt"))
            for old in self.files()[KEPT:]:
                old.unlink(missing_ok=True)
        except (OSError, RuntimeError) as error:
            inform(f"No checkpoint was written after step {step}: {error}")

    def files(self) -> list[Path]:
        """Return the files of this code, the newest first."""
        return sorted((self.folder / self.code).glob("*-*.pt"), reverse=True)

    def resume(self, parts: Mapping[str, Stateful], agree: Agreement = same) -> bool:
        """Bring a training to where the newest checkpoint that can be read left it.

        Args:
            parts: What makes up the training.
            agree: Returns what the first of several ranks has.

        Returns:
            Whether there was one; if not, the training is as it was.

        Raises:
            Exception: There is no memory for it, which is no fault of the file.
        """
        for torn in (self.folder / self.code).glob("*.part"):
            torn.unlink(missing_ok=True)
        files = agree(self.files())
        if not files and any(self.folder.glob("*/*-*.pt")):
            inform("Its checkpoints are of other code or other settings, so it starts afresh.")
        fresh = copy.deepcopy({name: each.state_dict() for name, each in parts.items() if files})
        for path in files:
            try:
                _take(parts, _read(path))
            except Exception as error:  # a damaged file may hold anything
                if out_of_memory(error):
                    raise
                what = brief(error)
                inform(f"The checkpoint {path.name} is damaged and taken for none: {what}")
                if not isinstance(error, OSError):  # a disk may only be away
                    path.unlink(missing_ok=True)
            else:
                return True
        _take(parts, fresh)
        return False


@contextmanager
def aside(folder: Path) -> Iterator[Path]:
    """Yield a path in a folder that another process has not; what is left there goes."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{os.getpid()}.part"
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def settle(part: Path, path: Path) -> None:
    """Give a written file its name once it is on the disk."""
    for each in (part, part.parent):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if each == part:
            part.rename(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _read(path: Path) -> dict[str, Any]:
    """Read a checkpoint.

    Raises:
        ValueError: Its bytes are not those that were written.
        Exception: It holds something else than it should.
    """
    if _digest(path) != path.stem.partition("-")[2]:
        raise ValueError("its bytes are not those that were written")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _take(parts: Mapping[str, Stateful], state: Mapping[str, Any]) -> None:
    for name in state:
        parts[name].load_state_dict(state[name])
