"""What takes long to draw is drawn once, piece by piece, and kept whole or not at all."""

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from harness.api import IGNORED, Batch, PregeneratedTask, StepLabels, Tokens
from harness.contract.batch import STRIDE
from harness.data.cache import CacheError, use_shard_dir
from harness.data.cached_task import ALIKE, drawn_batches, joined
from harness.data.shards import read
from harness.training.run import heaviest


@dataclass(frozen=True, kw_only=True)
class Ragged(PregeneratedTask):
    """Sequences of different lengths; how often they are drawn is counted."""

    top: int = 300
    drawn: ClassVar[list[int]] = []
    examples: ClassVar = {"train": 10, "validation": 3, "test": 7}
    shard_size: ClassVar[int] = 4
    inputs = property(lambda self: Tokens(self.top))
    outputs = property(lambda self: StepLabels(self.top))
    max_length = property(lambda self: 9)
    causal = property(lambda self: True)
    chance = property(lambda self: 0.0)

    def sample(self, n, rng):
        self.drawn.append(n)
        length = int(torch.randint(3, 10, (), generator=rng))
        inputs = torch.randint(self.top, (n, length), generator=rng)
        return Batch(inputs, inputs - 7, torch.full((n,), length))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    Ragged.drawn.clear()
    with use_shard_dir(tmp_path):
        yield tmp_path


def test_a_split_is_drawn_in_pieces_and_read_back_as_it_was(folder: Path) -> None:
    first, second = Ragged().split("test"), Ragged().split("test")

    assert Ragged.drawn == [4, 3]
    assert len(first) == 7
    assert first.to(torch.device("cpu")).inputs.dtype == torch.int64
    for one, other in zip(vars(first).values(), vars(second).values(), strict=True):
        assert torch.equal(one, other)


def test_shorter_pieces_are_padded_and_their_padding_carries_no_label(folder: Path) -> None:
    whole = Ragged().split("test")
    assert whole.lengths is not None
    lengths = whole.lengths.unique().tolist()
    padding = torch.arange(whole.inputs.shape[1]) >= whole.lengths[:, None]

    assert len(lengths) == 2
    assert (whole.inputs[padding] == 0).all()
    assert (whole.targets[padding] == IGNORED).all()
    assert torch.equal(whole.targets[~padding], whole.inputs[~padding] - 7)


def test_an_interrupted_drawing_goes_on_where_it_stopped(folder: Path) -> None:
    task = Ragged()
    before = task.split("test")
    [*_, last] = sorted(folder.rglob("*.npz"))
    last.write_bytes(last.read_bytes()[:50])
    Ragged.drawn.clear()

    assert torch.equal(task.split("test").inputs, before.inputs)
    assert Ragged.drawn == [3]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_piece_of_which_any_bit_is_wrong_reads_as_it_was_or_as_broken(folder: Path) -> None:
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


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), RuntimeError("is encrypted")])
def test_a_piece_that_cannot_be_read_is_drawn_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    before = Ragged().split("validation")
    load, errors = np.load, [error]

    def fails_once(file, **options):
        if errors:
            raise errors.pop()
        return load(file, **options)

    monkeypatch.setattr(np, "load", fails_once)

    assert torch.equal(Ragged().split("validation").inputs, before.inputs)
    assert Ragged.drawn == [3, 3]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied"), "may not be read; change its permissions"),
        (OSError(5, "Input/output error"), "although it was just written; look at the disk"),
    ],
)
def test_a_piece_that_never_can_be_read_is_one_sentence(
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


def test_pieces_take_as_few_bytes_as_their_numbers_need(folder: Path) -> None:
    for top, dtype in ((100, torch.uint8), (300, torch.int16), (40_000, torch.int32)):
        task = Ragged(top=top)
        [piece] = task.shards("validation")

        assert piece().inputs.dtype == dtype
        assert (folder / "drawn" / task.key / "validation-0000x3.npz").is_file()


def test_options_and_versions_have_folders_of_their_own(folder: Path) -> None:
    keys = {Ragged().key, Ragged(top=299).key, type("Newer", (Ragged,), {"version": 2})().key}

    assert len(keys) == 3


def test_an_epoch_shows_every_example_at_most_once_and_the_next_one_in_another_order(
    folder: Path,
) -> None:
    task = Ragged()
    known = {tuple(row.tolist()) for piece in task.shards("train") for row in piece().inputs}
    batches = list(islice(task.train_batches(2), 10))
    shown = [tuple(row.tolist()) for batch in batches for row in batch.inputs]

    assert len(known) == 10
    assert set(shown[:10]) == set(shown[10:]) == known
    assert shown[:10] != shown[10:]
    assert [len(batch) for batch in batches] == [2] * 10


def test_a_batch_larger_than_a_piece_is_a_piece(folder: Path) -> None:
    assert len(next(Ragged().train_batches(64))) == 4


def test_padding_that_bytes_cannot_hold_is_kept_in_wider_integers(folder: Path) -> None:
    rows = [torch.full((2, length), 200, dtype=torch.uint8) for length in (3, 5)]
    whole = joined([Batch(row, row) for row in rows])

    assert whole.inputs.dtype == torch.uint8
    assert whole.targets[0].tolist() == [200, 200, 200, IGNORED, IGNORED]


@pytest.mark.parametrize("pairs", [False, True])
def test_rows_meet_others_of_about_their_length_and_each_one_once(pairs: bool) -> None:
    rng = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 1000, (1000, 2) if pairs else (1000,), generator=rng)
    longest = lengths.amax(1) if pairs else lengths
    batches = list(drawn_batches(lengths, 1000, 16, rng))
    spread = [float(longest[rows].max() - longest[rows].float().mean()) for rows in batches]

    assert len(set(torch.cat(batches).tolist())) == 16 * len(batches) == 992
    assert sum(spread) / len(spread) < 100, "500 if they were mixed"
    first = longest[torch.stack(batches)[:ALIKE, 0]]
    assert not torch.equal(first, first.sort().values), "short ones are not always first"


def test_padding_that_a_whole_batch_shares_is_cut_off_with_its_labels() -> None:
    lengths, inputs = torch.tensor([2, STRIDE + 1]), torch.arange(1000).view(2, 500)

    cut = Batch(inputs, inputs + 1, lengths).trimmed()
    assert torch.equal(cut.inputs, inputs[:, : 2 * STRIDE])
    assert torch.equal(cut.targets, inputs[:, : 2 * STRIDE] + 1)

    signal = inputs[..., None].float()
    assert Batch(signal, signal, lengths).trimmed().targets.shape == (2, 2 * STRIDE, 1)
    for apart in (signal[:, :3], inputs[:, :3], inputs[:, 0]):
        values = Batch(signal, apart, lengths).trimmed()
        assert values.inputs.shape == (2, 2 * STRIDE, 1)
        assert values.targets is apart, "these belong to no position"

    pair = Batch(inputs.view(1, 2, 500), torch.zeros(1), torch.tensor([[4, 1]])).trimmed()
    assert pair.inputs.shape == (1, 2, STRIDE)
    assert Batch(inputs[:, :9], inputs[:, :9], torch.tensor([2, 3])).trimmed().inputs.shape[1] == 9


@dataclass(frozen=True, kw_only=True)
class Long(Ragged):
    """Most sequences are short, one of each piece is long."""

    def sample(self, n, rng):
        lengths = torch.full((n,), 2)
        lengths[0] = 3 * STRIDE
        inputs = torch.randint(self.top, (n, 3 * STRIDE), generator=rng)
        return Batch(inputs, inputs - 7, lengths)


def test_batches_of_training_and_of_scoring_are_as_long_as_they_must_be(folder: Path) -> None:
    task = Long()
    training = [batch.inputs.shape[1] for batch in islice(task.train_batches(1), 10)]
    scoring = [batch.inputs.shape[1] for batch in task.rows("test").batches(1)]

    assert set(training) == set(scoring) == {STRIDE, 3 * STRIDE}
    assert heaviest(task.train_batches(2)).inputs.shape == (2, 3 * STRIDE)


@dataclass(frozen=True, kw_only=True)
class Samples(Ragged):
    """Numbers that are kept as bytes and handed out as fractions."""

    mixed: ClassVar[int] = 3

    def sample(self, n, rng):
        values = torch.randint(256, (n, 2, 1), generator=rng)
        return Batch(values, values[:, 0, 0])

    def prepare(self, batch):
        return Batch(batch.inputs / 255, batch.targets)


def test_what_is_kept_as_bytes_is_made_ready_wherever_it_is_handed_out(folder: Path) -> None:
    task = Samples()

    assert {piece().inputs.dtype for piece in task.shards("test")} == {torch.uint8}
    for batch in (task.split("test"), task.split("train"), next(task.train_batches(2))):
        assert batch.inputs.dtype == torch.float32
        assert torch.equal((batch.inputs[:, 0, 0] * 255).round().int(), batch.targets.int())


def test_rows_of_mixed_pieces_are_shuffled_together(folder: Path) -> None:
    task = Samples()
    rows = [row for piece in task.shards("train") for row in piece().targets.tolist()]
    shown = [row for batch in islice(task.train_batches(2), 5) for row in batch.targets.tolist()]

    assert sorted(shown) == sorted(rows)
    homes = [rows.index(row) // 4 for row in shown]
    assert any(a != b for a, b in zip(homes[::2], homes[1::2], strict=True))


def test_pieces_may_be_read_by_whom_the_folder_lets_read(folder: Path) -> None:
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
