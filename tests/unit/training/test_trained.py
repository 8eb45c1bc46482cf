"""A network that was kept is the one that was scored, and says what it answers to each example."""

import shutil
import sys
from pathlib import Path
from statistics import mean

import pandas as pd
import pytest
import torch
from torch import nn

from harness import load_trained, run
from harness.api import SpecError
from harness.cli import main
from harness.results.store import Store
from harness.training.trained import Weights

TINY = {"steps": 6, "batch": 8, "width": 8, "depth": 1, "evaluations": 2}
LABELS = "retrieval/induction-heads[length=16]"
VALUES = "synthetic/shift[length=16,shifts=2]"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, root: Path) -> tuple[Path, Path, dict]:
    """Keep networks of a model in a file on two tasks, and of one that has no parameters."""
    folder = tmp_path_factory.mktemp("kept")
    plugin = folder / "leaky.py"
    shutil.copy(root / "docs" / "examples" / "leaky.py", plugin)
    records = [
        *run(
            [LABELS, VALUES],
            "leaky",
            protocol=TINY,
            plugins=str(plugin),
            results=str(folder / "results"),
            keep_weights=True,
        ),
        *run(LABELS, "chance", protocol=TINY, results=str(folder / "results"), keep_weights=True),
    ]
    assert [each.outcome for each in records] == ["ok"] * 3, [each.reason for each in records]
    names = ("labels", "values", "chance")
    return folder / "results", plugin, dict(zip(names, records, strict=True))


def predict(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["ssm-bench", "predict", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.mark.parametrize("name", ["labels", "chance"])
def test_the_scores_of_its_examples_average_to_the_records(made, monkeypatch, tmp_path, name):
    results, plugin, records = made
    record, out = records[name], tmp_path / "answers.parquet"

    words = (record.run_id, "--results", results, "--plugin", plugin, "--out", out)
    assert predict(monkeypatch, *words) == 0

    table = pd.read_parquet(out)
    assert list(table) == ["index", "split", "target", "prediction", "score"]
    assert ((table.target == table.prediction) == (table.score == 1)).all()
    for split, scores in table.groupby("split").score:
        assert mean(scores) == pytest.approx(record.learned.scores[split]["accuracy"], abs=1e-12)


def test_another_task_may_be_asked_if_it_asks_alike(made, monkeypatch, tmp_path, capsys):
    results, plugin, records = made
    words = (records["labels"].run_id, "--results", results, "--plugin", plugin)
    out = ("--out", tmp_path / "answers.parquet")

    longer = predict(monkeypatch, *words, LABELS.replace("16", "32"), *out)
    other = predict(monkeypatch, *words, VALUES, *out)

    assert (longer, other) == (0, 2)
    assert "has other inputs or outputs" in capsys.readouterr().err


def test_values_are_kept_as_they_are(made, monkeypatch, tmp_path):
    results, plugin, records = made
    out = tmp_path / "answers.parquet"
    words = (records["values"].run_id, "--results", results, "--plugin", plugin, "--out", out)
    assert predict(monkeypatch, *words) == 0

    first = pd.read_parquet(out).iloc[0]
    network = load_trained(records["values"].run_id, results, plugins=[str(plugin)])
    assert not network.training
    assert len(first.target) == len(first.prediction) == 16


def test_what_was_not_kept_is_told_in_a_sentence(made, tmp_path):
    results, plugin, records = made
    record, files = records["labels"], [str(plugin)]
    with pytest.raises(SpecError, match="has no training 'abc'"):
        load_trained("abc", results)
    Store(tmp_path).append(record)
    with pytest.raises(SpecError, match=r"No weights were kept .* --keep-weights --again"):
        load_trained(record.run_id, tmp_path, plugins=files)
    path = Store(tmp_path).weights(record.run_id)
    path.parent.mkdir()
    kept = Store(results).weights(record.run_id).read_bytes()
    path.write_bytes(kept[: len(kept) // 2])
    with pytest.raises(SpecError, match="holds no weights of its run"):
        load_trained(record.run_id, tmp_path, plugins=files)
    shutil.copy(Store(results).weights(records["values"].run_id), path)
    with pytest.raises(SpecError, match="holds no weights of its run"):
        load_trained(record.run_id, tmp_path, plugins=files)


def test_code_that_has_changed_is_refused(made, tmp_path):
    results, plugin, records = made
    edited = tmp_path / "leaky.py"
    edited.write_text(plugin.read_text() + "\n# another thought\n")

    with pytest.raises(SpecError, match="The code of the model 'leaky' has changed"):
        load_trained(records["labels"].run_id, results, plugins=[str(edited)])


def test_without_pyarrow_it_says_what_to_install(made, monkeypatch, capsys):
    results, _, records = made
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    assert predict(monkeypatch, records["chance"].run_id, "--results", results) == 2
    assert "pip install 'ssm-bench[parquet]'" in capsys.readouterr().err


def test_parameters_that_layers_share_are_kept_once_and_shared_again(tmp_path):
    def made():
        layers = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        layers[1].weight = layers[0].weight
        return layers

    kept, again = made(), made()
    weights = Weights(tmp_path / "some.safetensors", {"model": "", "task": ""})
    weights.write(kept)
    weights.read(again)

    assert again[0].weight is again[1].weight
    assert torch.equal(again[0].weight, kept[1].weight)
