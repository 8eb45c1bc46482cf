"""What tests of data share."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import cli
from harness.data.cache import use_shard_dir
from tests.served import Site
from tests.unit.data.tasks import Ragged

LETTERS = '''
"""Letters, from a file."""

import os
from dataclasses import dataclass
from typing import final

import torch

from harness.api import Batch, OneLabel, RemoteFile, FileTask, Tokens


@final
@dataclass(frozen=True, kw_only=True)
class Letters(FileTask):
    """Letters."""

    shortcuts = {"first": 0.25}
    inputs = property(lambda self: Tokens(256))
    outputs = property(lambda self: OneLabel(256))
    max_length = property(lambda self: 2)
    causal = property(lambda self: True)
    chance = property(lambda self: 0.25)

    def files(self):
        address = os.environ["LETTERS"]
        return (RemoteFile("letters/all.txt", (address + "/letters/all.txt",), None, 8),)

    def load(self, split, folder):
        letters = torch.tensor(list((folder / "letters" / "all.txt").read_bytes()))
        letters = letters[: {"train": 8, "validation": 2, "test": 4}[split]]
        yield from (Batch(part[:, None], part) for part in letters.split(3))

    def shortcut_predictions(self, batch):
        return {"first": torch.nn.functional.one_hot(torch.full((len(batch),), 97), 256)}
'''
Data = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Cache shards in a folder of the test's own, in which nothing was drawn yet."""
    Ragged.drawn.clear()
    with use_shard_dir(tmp_path):
        yield tmp_path


@pytest.fixture
def plugin(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a plugin whose task `letters` needs a file, and serve the file."""
    site.put("letters/all.txt", b"abcdefgh")
    monkeypatch.setenv("LETTERS", site.address)
    path = tmp_path / "letters.py"
    path.write_text(LETTERS)
    return str(path)


@pytest.fixture
def data(plugin: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Data:
    """Return what runs a verb with the plugin: (exit code, standard output, errors)."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ssm-bench", "data", *words, "--plugin", plugin])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, captured.out, captured.err

    return run
