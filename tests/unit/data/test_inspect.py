"""`ssm-bench data inspect`: what a sample looks like, and what shortcuts reach on it."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from harness import load_task
from harness.api import IGNORED, Batch, GeneratedTask, StepLabels, Tokens, one_hot
from harness.data.inspect import inspect
from tests.served import Site


def test_inspect_shows_sizes_labels_lengths_chance_and_shortcuts(data) -> None:
    data("fetch", "letters")
    code, out, _ = data("inspect", "letters")

    assert code == 0
    for part in (
        "train 8, validation 2, test 4",
        "looked at  4 examples\n",
        "mean 1, median 1, range 1 to 1",
        "chance     accuracy 0.25",
        "first: stated 0.25, found here 0.25",
        "4 of 4 kinds",
    ):
        assert part in out
    assert out.count(" 25.0%  " + "█" * 40) == 4


def test_inspect_of_what_was_not_fetched_says_what_to_do(data, site: Site) -> None:
    code, _, err = data("inspect", "letters")

    assert code == 2
    assert "run `ssm-bench data fetch 'letters'`" in err
    assert site.asked == []


def test_inspect_does_without_the_file_if_every_split_was_parsed_and_only_then(
    data, site: Site, tmp_path: Path
) -> None:
    file = tmp_path / "data" / "letters" / "all.txt"
    data("fetch", "letters", "--split", "test")
    file.unlink()
    code, _, err = data("inspect", "letters")
    assert (code, site.asked) == (2, ["letters/all.txt"])
    assert "run `ssm-bench data fetch 'letters'`" in err

    data("fetch", "letters")
    file.unlink()
    assert data("inspect", "letters")[0] == 0
    assert site.asked == ["letters/all.txt"] * 2


def test_inspect_of_a_drawn_task_times_its_drawing(data) -> None:
    code, out, _ = data("inspect", "lra/listops", "--n", "20", "--json")
    seen = json.loads(out)

    assert code == 0
    assert (seen["looked_at"], seen["version"]) == (20, 1)
    assert seen["sizes"] == {"train": 96_000, "validation": 2000, "test": 2000}
    assert sum(seen["labels"].values()) == 20
    assert seen["per_second"] > 0
    assert seen["found"].keys() == seen["stated"].keys() == {"root operator", "top level"}
    assert 500 < seen["lengths"]["least"] <= seen["lengths"]["median"] < 2000


def test_inspect_sums_up_real_targets_and_options_count(data) -> None:
    code, out, _ = data("inspect", "synthetic/shift[length=64]", "--n", "5")

    assert code == 0
    assert "range 64 to 64" in out
    assert "targets    mean" in out


@dataclass(frozen=True, kw_only=True)
class Sparse(GeneratedTask):
    """Name every second token; the shortcut answers with the targets that it is shown."""

    inputs = property(lambda self: Tokens(3))
    outputs = property(lambda self: StepLabels(3))
    max_length = property(lambda self: 6)
    causal = property(lambda self: True)
    chance = property(lambda self: 1 / 3)

    def sample(self, n, rng):
        tokens = torch.randint(1, 3, (n, 6), generator=rng)
        targets = tokens.clone()
        targets[:, ::2] = IGNORED
        return Batch(tokens, targets)

    def shortcut_predictions(self, batch):
        return {"peeking": one_hot(batch.targets, 3)}


def test_a_histogram_leaves_out_what_carries_no_label() -> None:
    labels = inspect("sparse", Sparse(), 10).labels

    assert labels is not None
    assert labels.keys() == {1, 2}
    assert sum(labels.values()) == 30


def test_shortcuts_do_not_see_the_targets() -> None:
    assert inspect("sparse", Sparse(), 10).found == {"peeking": 0.0}


@pytest.mark.slow
def test_the_rungs_of_listops_are_where_a_reference_generator_puts_them() -> None:
    """The ladder of specs `lra_s4.md`, 1.2: levels 0 and 1 exact, deeper ones guessed."""
    found = inspect("lra/listops", load_task("lra/listops"), 20_000).found

    assert found["root operator"] == pytest.approx(0.361, abs=0.01)
    assert found["top level"] == pytest.approx(0.597, abs=0.01)


def test_inspect_searches_for_shortcuts_and_shows_each_beside_chance(data) -> None:
    code, out, _ = data("inspect", "mad/recall", "--n", "40", "--shortcuts")

    assert code == 0
    searched = [line for line in out.splitlines() if line.startswith("searched")]
    assert searched[0].startswith("searched   beside the last occurrence: 1 ±")
    assert all(line.endswith("chance 0.125") for line in searched)
    assert "commonest value: stated 0.322\n" in out


def test_a_predictor_that_does_not_apply_says_why(data) -> None:
    data("fetch", "letters")
    _, out, _ = data("inspect", "letters", "--shortcuts")

    assert "usual answer at the place: does not apply: every example has one answer" in out


def test_a_search_without_scikit_learn_says_what_to_install(data, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    code, _, err = data("inspect", "mad/recall", "--n", "4", "--shortcuts")

    assert code == 2
    assert "run `pip install 'ssm-bench[shortcuts]'`" in err
