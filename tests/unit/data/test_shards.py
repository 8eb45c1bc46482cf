"""A shard is on disk whole or not at all, and what is broken is made again."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.data.cache import CacheError
from harness.data.shards import read
from tests.unit.data.tasks import Ragged, Samples


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_shard_of_which_any_bit_is_wrong_reads_as_it_was_or_as_broken(folder: Path) -> None:
    before = Samples().split("validation")
    [path] = folder.rglob("*.npz")
    whole = path.read_bytes()
    broken = 0
    for place in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        if (found := read(path)) is None:
            broken += 1
        else:
            assert torch.equal(Samples().prepare(found).inputs, before.inputs)
            assert torch.equal(found.targets, before.targets)

    assert broken > 4 * len(whole), "most bits matter"


def encrypted(path: Path) -> None:
    """Have every member of a zip file ask for a password."""
    content = path.read_bytes()
    for sign, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        parts = content.split(sign)
        flagged = [part[: place - 4] + b"\x01" + part[place - 3 :] for part in parts[1:]]
        content = sign.join([parts[0], *flagged])
    path.write_bytes(content)


def unreadable(path: Path) -> None:
    """Have the disk fail at the first byte."""
    path.unlink()
    path.symlink_to("/proc/self/mem")


@pytest.mark.parametrize("damage", [encrypted, unreadable])
def test_a_shard_that_cannot_be_read_is_drawn_again(folder: Path, damage) -> None:
    before = Ragged().split("validation")
    [path] = folder.rglob("*.npz")
    damage(path)

    assert torch.equal(Ragged().split("validation").inputs, before.inputs)
    assert Ragged.drawn == [3, 3]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied"), "may not be read; change its permissions"),
        (OSError(5, "Input/output error"), "although it was just written; look at the disk"),
    ],
)
def test_a_shard_that_never_can_be_read_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, said: str
) -> None:
    def fails(file, **options):
        raise error

    monkeypatch.setattr(np, "load", fails)

    with pytest.raises(CacheError, match=said):
        Ragged().split("validation")


def test_a_disk_that_is_full_leaves_nothing_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file, **arrays) -> None:
        file.write(b"some of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(CacheError, match=r"No space left on device\); make room there"):
        Ragged().split("test")

    assert [path for path in folder.rglob("*") if path.is_file()] == []


def test_shards_take_as_few_bytes_as_their_numbers_need(folder: Path) -> None:
    for top, dtype in ((100, torch.uint8), (300, torch.int16), (40_000, torch.int32)):
        [shard] = Ragged(top=top).shards("validation")

        assert shard().inputs.dtype == dtype


def test_shards_may_be_read_by_whom_the_folder_lets_read(folder: Path) -> None:
    old = os.umask(0o027)
    try:
        Ragged().split("validation")
    finally:
        os.umask(old)
    [path] = folder.rglob("*.npz")

    assert path.stat().st_mode & 0o777 == 0o640


def test_what_was_interrupted_days_ago_is_swept_and_what_is_fresh_is_left(folder: Path) -> None:
    home = folder / "drawn" / Ragged().key
    home.mkdir(parents=True)
    old, fresh = home / ".old.part", home / ".fresh.part"
    for path in (old, fresh):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))

    Ragged().split("validation")

    assert not old.exists()
    assert fresh.exists()


def test_a_folder_that_cannot_be_made_is_one_sentence(folder: Path) -> None:
    (folder / "drawn").write_text("a file where the folder should be")

    with pytest.raises(CacheError, match="SSM_BENCH_DATA"):
        Ragged().split("validation")
