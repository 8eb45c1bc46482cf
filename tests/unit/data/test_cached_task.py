"""Batches of cached examples: every row once, of about one length, in another order each time."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pytest
import torch

from harness.api import IGNORED, Batch
from harness.contract.batch import STRIDE
from harness.data.cached_task import BUCKET, concatenate, shuffled_batches
from harness.training.run import heaviest
from tests.unit.data.tasks import Ragged, Samples


def test_options_and_versions_have_keys_of_their_own() -> None:
    keys = {Ragged().key, Ragged(top=299).key, type("Newer", (Ragged,), {"version": 2})().key}

    assert len(keys) == 3


def test_a_key_is_the_name_the_version_and_a_hash_that_stay() -> None:
    assert Ragged().key == "tasks@1-5082d494f211"


def test_an_epoch_shows_every_example_at_most_once_and_the_next_one_in_another_order(
    folder: Path,
) -> None:
    task = Ragged()
    known = {tuple(row.tolist()) for shard in task.shards("train") for row in shard().inputs}
    batches = list(islice(task.train_batches(2), 10))
    shown = [tuple(row.tolist()) for batch in batches for row in batch.inputs]

    assert len(known) == 10
    assert set(shown[:10]) == set(shown[10:]) == known
    assert shown[:10] != shown[10:]
    assert [len(batch) for batch in batches] == [2] * 10


def test_a_batch_larger_than_a_shard_is_a_shard(folder: Path) -> None:
    assert len(next(Ragged().train_batches(64))) == 4


def test_rows_of_shards_in_the_shuffle_buffer_are_shuffled_together(folder: Path) -> None:
    task = Samples()
    rows = [row for shard in task.shards("train") for row in shard().targets.tolist()]
    shown = [row for batch in islice(task.train_batches(2), 5) for row in batch.targets.tolist()]

    assert sorted(shown) == sorted(rows)
    homes = [rows.index(row) // 4 for row in shown]
    assert any(a != b for a, b in zip(homes[::2], homes[1::2], strict=True))


def test_shorter_shards_are_padded_and_their_padding_carries_no_label(folder: Path) -> None:
    whole = Ragged().split("test")
    assert whole.lengths is not None
    lengths = whole.lengths.unique().tolist()
    padding = torch.arange(whole.inputs.shape[1]) >= whole.lengths[:, None]

    assert len(lengths) == 2
    assert (whole.inputs[padding] == 0).all()
    assert (whole.targets[padding] == IGNORED).all()
    assert torch.equal(whole.targets[~padding], whole.inputs[~padding] - 7)


def test_padding_that_bytes_cannot_hold_is_filled_into_wider_integers() -> None:
    rows = [torch.full((2, length), 200, dtype=torch.uint8) for length in (3, 5)]
    whole = concatenate([Batch(row, row) for row in rows])

    assert whole.inputs.dtype == torch.uint8
    assert whole.targets[0].tolist() == [200, 200, 200, IGNORED, IGNORED]


@pytest.mark.parametrize("pairs", [False, True])
def test_rows_meet_others_of_about_their_length_and_each_one_once(pairs: bool) -> None:
    rng = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 1000, (1000, 2) if pairs else (1000,), generator=rng)
    longest = lengths.amax(1) if pairs else lengths
    batches = list(shuffled_batches(lengths, 1000, 16, rng))
    spread = [float(longest[rows].max() - longest[rows].float().mean()) for rows in batches]

    assert len(set(torch.cat(batches).tolist())) == 16 * len(batches) == 992
    assert sum(spread) / len(spread) < 100, "500 if they were not bucketed"
    first = longest[torch.stack(batches)[:BUCKET, 0]]
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
    """Most sequences are short, one of each shard is long."""

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


def test_what_is_cached_as_bytes_is_prepared_wherever_it_is_handed_out(folder: Path) -> None:
    task = Samples()

    assert {shard().inputs.dtype for shard in task.shards("test")} == {torch.uint8}
    for batch in (task.split("test"), task.split("train"), next(task.train_batches(2))):
        assert batch.inputs.dtype == torch.float32
        assert torch.equal((batch.inputs[:, 0, 0] * 255).round().int(), batch.targets.int())
