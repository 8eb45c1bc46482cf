import dataclasses
import os
import subprocess
from itertools import product

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core import codec
from harness.core.config import Protocol
from harness.core.errors import SpecError
from harness.results.compare import compare, sides
from harness.results.gate import gate, parse_allowances
from harness.results.statistics import sign_flip_p_value
from harness.results.store import Store
from tests.unit.report.made_records import (
    MACHINE,
    again,
    blank,
    measured,
    ran_beside,
    scored,
)

WITHIN = parse_allowances("score:-5%,time:+5%,memory:+5%")
SCORES = {"a": [0.80, 0.82, 0.81, 0.79], "b": [0.90, 0.93, 0.91, 0.90]}


def runs(scores, **fields):
    return [scored(score, seed=seed, **fields) for seed, score in enumerate(scores)]


@settings(max_examples=30)
@given(st.lists(st.integers(-50, 50), min_size=2, max_size=9))
def test_the_p_value_is_the_share_of_sign_patterns_as_extreme(values):
    differences = [value / 10 for value in values]
    seen = abs(sum(differences))
    flipped = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((-1, 1), repeat=len(differences))
    ]
    share = sum(one >= seen - 1e-9 for one in flipped) / len(flipped)
    assert sign_flip_p_value(differences) == pytest.approx(share)


def test_two_models_are_paired_by_task_and_seed():
    a, b = runs(SCORES["a"], model="lstm"), runs(SCORES["b"], model="s4d")
    (change,) = compare(a, [*reversed(b), scored(0.1, model="s4d", seed=9)]).changes
    score = change.score
    differences = np.subtract(SCORES["b"], SCORES["a"])
    assert change.seeds == (0, 1, 2, 3)
    assert score.difference == pytest.approx(differences.mean())
    assert score.effect == pytest.approx(differences.mean() / differences.std(ddof=1))
    assert score.interval[0] < score.difference < score.interval[1]
    assert score.p_value == pytest.approx(2 / 2**4)
    assert change.model == "lstm against s4d"


def test_two_folders_are_paired_by_model_too():
    a = runs(SCORES["a"], model="lstm") + runs(SCORES["b"], model="s4d")
    b = runs(SCORES["b"], model="lstm") + runs(SCORES["b"], model="s4d")
    changes = {change.model: change.score.difference for change in compare(a, b).changes}
    assert changes == {"lstm": pytest.approx(0.105), "s4d": pytest.approx(0.0)}


def test_what_one_side_did_not_measure_has_no_ratio():
    untrained = runs(SCORES["a"], model="chance", step_s=[], memory=None)
    comparison = compare(untrained, runs(SCORES["b"], model="s4d"))
    (change,) = comparison.changes
    assert (change.seconds, change.peak_bytes) == (None, None)
    assert comparison.note == ""


def test_one_seed_proves_nothing_and_has_the_interval_of_its_examples():
    comparison = compare([scored(0.5, half=0.03)], [scored(0.6, half=0.04)])
    score = comparison.changes[0].score
    assert (score.p_value, score.effect) == (None, None)
    assert score.interval == pytest.approx((0.05, 0.15))
    assert "One seed proves nothing" in comparison.note


@pytest.mark.parametrize("change", [{"protocol": Protocol(steps=7)}, {"device": "cuda"}])
def test_runs_under_different_conditions_are_no_pair(change):
    a = scored(0.5)
    b = again(a, spec=dataclasses.replace(a.spec, **change))
    comparison = compare([a], [b])
    assert (comparison.changes, comparison.unpaired) == ((), 2)
    assert "nothing was compared" in comparison.note


def test_ratios_over_seeds_are_averaged_geometrically():
    a = [scored(0.5, seed=seed, step_s=[0.1]) for seed in range(2)]
    b = [scored(0.5, seed=0, step_s=[0.05]), scored(0.5, seed=1, step_s=[0.2])]
    assert compare(a, b).changes[0].seconds.value == pytest.approx(1.0)


def test_a_comparison_is_written_as_json():
    text = codec.encode(compare(runs(SCORES["a"]), runs(SCORES["b"])))
    assert msgspec.json.decode(text)["changes"][0]["score"]["metric"] == "accuracy"


def test_a_side_is_a_folder_or_a_model_and_else_an_error_with_the_near_miss(tmp_path):
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    here.append(blank(model="s4d"))
    here.append(blank(model="lstm"))
    there.append(blank(model="s4d", seed=1))
    first, second = sides("s4d", "lstm", here.folder)
    assert (first.records, second.records) == ([blank(model="s4d")], [blank(model="lstm")])
    assert sides("s4d", str(there.folder), here.folder)[1].records == there.records()
    with pytest.raises(SpecError, match="Did you mean 's4d'"):
        sides("s4dd", "lstm", here.folder)


def git(folder, *words):
    who = ["-c", "user.name=A", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


def test_a_side_may_be_a_folder_at_a_git_revision(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    store = Store(tmp_path / "results" / "v1")
    store.append(scored(0.5))
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "before")
    store.append(scored(0.5, seed=1))
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")

    before, after = sides("HEAD:results/v1", "../results/v1", store.folder)

    assert [each.spec.seed for each in before.records] == [0]
    assert [each.spec.seed for each in after.records] == [0, 1]
    with pytest.raises(SpecError, match="'HEAD:nowhere' names no folder at a git revision"):
        sides("HEAD:nowhere", "../results/v1", store.folder)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"machine": {**MACHINE, "processor": "Another"}}, "A was made on A processor"),
        ({"machine": {**MACHINE, "cores": 64}}, "B on A processor @ 2.5 GHz, 64 cores"),
        ({"machine": {**MACHINE, "threads": 1}}, "1 threads"),
        ({"machine": {**MACHINE, "packages": {"torch": "3.0"}}}, "torch 3.0"),
        ({"path": "native"}, "ran by the path torch in A, by native in B"),
    ],
)
def test_times_and_bytes_of_two_places_are_not_compared_and_it_says_so(change, why):
    a = [scored(0.9, path="torch"), measured(64, [1.0] * 5, path="torch")]
    b = [scored(0.9, **{"path": "torch", **change}, step_s=[9.0])]
    b += [measured(64, [9.0] * 5, **{"path": "torch", **change})]
    comparison = compare(a, b)
    assert all((c.seconds, c.peak_bytes) == (None, None) for c in comparison.changes)
    assert comparison.changes[0].score.difference == 0, "a score is none of the place's"
    assert why in comparison.note
    assert gate(comparison, WITHIN).code == 0


def test_disturbed_times_are_not_compared_and_their_scores_and_bytes_are():
    busy = ran_beside(0.5)
    a, b = scored(0.9, step_s=[1.0]), scored(0.9, step_s=[9.0], interference=busy)
    comparison = compare([a], [b])
    (change,) = comparison.changes
    assert (change.seconds, change.peak_bytes.value, change.score.difference) == (None, 1.0, 0)
    assert "the machine was busy in B" in comparison.note
    assert gate(comparison, WITHIN).code == 0


def test_pairs_that_were_not_disturbed_still_have_a_ratio():
    a = [scored(0.9, seed=seed, step_s=[1.0]) for seed in range(3)]
    b = [scored(0.9, seed=seed, step_s=[1.0]) for seed in range(2)]
    b.append(scored(0.9, seed=2, step_s=[9.0], interference=ran_beside(1.0)))
    comparison = compare(a, b)
    assert comparison.changes[0].seconds.value == pytest.approx(1.0)
    assert "busy in B" in comparison.note


def test_a_models_name_wins_over_a_folder_that_is_called_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results, other = Store(tmp_path / "results"), Store(tmp_path / "dlr")
    results.append(blank(model="dlr"))
    other.append(blank(model="s4d"))

    found = [sides(name, name, results.folder)[0].records for name in ("dlr", "./dlr", "dlr/")]

    assert found == [[blank(model="dlr")], [blank(model="s4d")], [blank(model="s4d")]]
    assert sides("s4d", "results", other.folder)[1].records == [blank(model="dlr")]
