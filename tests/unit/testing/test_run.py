"""Checks are run by a plugin's name, here or in a process of their own, and give results."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harness.api import SpecError
from harness.plugins.loading import load_model, load_task
from harness.testing import CheckError, agree, checks_for, run_checks


def test_nan_agrees_with_nothing_not_even_itself() -> None:
    with pytest.raises(CheckError, match="1 of 2 values are too far off"):
        agree(torch.tensor([1.0, torch.nan]), torch.tensor([1.0, torch.nan]), "They differ")


@pytest.mark.parametrize(
    ("actual", "sentence"),
    [
        (torch.ones(3, dtype=torch.float64), r"They differ: the shape is \(3,\), not \(2,\)\."),
        (torch.ones(2), r"They differ: the dtype is torch.float32, not torch.float64\."),
    ],
)
def test_another_shape_or_precision_agrees_with_nothing(
    actual: torch.Tensor, sentence: str
) -> None:
    with pytest.raises(CheckError, match=sentence):
        agree(actual, torch.ones(2, dtype=torch.float64), "They differ")


def test_checks_are_those_of_the_kind() -> None:
    recipes = load_model("chance"), load_task("synthetic/shift"), load_task("scaling/train")
    names = [{check.name for check in checks_for(recipe)} for recipe in recipes]
    for kind, name in enumerate(["sees-no-future", "splits-share-no-example", "ladder-goes-up"]):
        assert [name in found for found in names] == [kind == other for other in range(3)]


def test_the_rule_of_a_check_is_a_sentence() -> None:
    recipes = load_model("chance"), load_task("synthetic/shift"), load_task("scaling/train")
    rules = [check.sentence for recipe in recipes for check in checks_for(recipe)]
    assert [rule for rule in rules if not rule.endswith(".")] == []


PLUGIN = '''"""Looks ahead, breaks in float64, and says so."""

from dataclasses import dataclass

import torch

from harness.api import Mixer, Model


@dataclass(frozen=True, kw_only=True)
class Peek(Model):
    slope: float = 1.0

    def build(self, *, width, length, causal):
        return Peeking(width, self.slope)


class Peeking(Mixer):
    def __init__(self, width, slope):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.full((width,), slope))

    def forward(self, u, lengths=None):
        if lengths is not None:
            raise OverflowError("too much padding")
        return self.gain * (u + u.flip(1))
'''


@pytest.fixture
def plugin(tmp_path: Path) -> str:
    path = tmp_path / "peek.py"
    path.write_text(PLUGIN)
    return str(path)


def test_results_say_what_passed_failed_or_did_not_apply_and_why(plugin: str) -> None:
    results = {result.name: result for result in run_checks("auto", "peek[slope=2.0]", (plugin,))}

    assert results["keeps-shape-and-dtype"].outcome == "passed"
    assert results["keeps-shape-and-dtype"].reason == ""
    assert results["sees-no-future"].outcome == "failed"
    assert results["steps-as-it-sees"].outcome == "not-applicable"
    assert "no step mode" in results["steps-as-it-sees"].reason
    assert results["ignores-padding"].outcome == "failed"
    assert "OverflowError (peek.py, line 25): too much padding" in results["ignores-padding"].reason
    assert all(result.seconds > 0 for result in results.values())


def test_a_process_of_its_own_prints_a_json_line_for_each_result(plugin: str) -> None:
    command = [sys.executable, "-m", "harness.testing", "model", "peek", "--json"]
    done = subprocess.run(
        [*command, "--plugin", plugin], capture_output=True, text=True, check=False
    )

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    checks = checks_for(load_model("chance"))
    assert [line["name"] for line in lines] == [check.name for check in checks]
    assert set(lines[0]) == {"name", "outcome", "sentence", "reason", "seconds"}
    assert done.returncode == 1


def test_a_name_of_a_model_and_of_a_task_needs_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "chance.py"
    path.write_text("from harness.api import GeneratedTask\n\nclass Chance(GeneratedTask): ...\n")
    with pytest.raises(SpecError, match="Both a model and a task are called 'chance'"):
        next(run_checks("auto", "chance", (str(path),)))


def test_a_name_that_nobody_has_gets_the_near_miss(plugin: str) -> None:
    with pytest.raises(SpecError, match=r"No model or task is called 'peke'.* 'peek'"):
        next(run_checks("auto", "peke", (plugin,)))


def test_the_checks_of_a_model_put_all_they_make_where_it_computes() -> None:
    """`meta` stands in for a card: all goes well there until somebody looks at a value."""
    checks = {check.name: check for check in checks_for(load_model("transformer"))}
    looked = r"(item\(\) cannot be called on|Cannot copy out of) meta tensor"
    for name in ("keeps-shape-and-dtype", "takes-empty-inputs", "ignores-padding"):
        with pytest.raises(RuntimeError, match=looked):
            checks[name](load_model("transformer"), "meta")


def test_a_task_is_not_checked_on_a_card() -> None:
    with pytest.raises(SpecError, match="same on every device; leave out --device cuda"):
        list(run_checks("task", "synthetic/shift", device="cuda"))
