"""Networks of different models are built with about as many parameters as are asked for."""

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from harness.core.config import Protocol, RunSpec
from harness.core.messages import PlanRequest
from harness.plugins.loading import load_model, load_task
from harness.plugins.registry import registry
from harness.results.aggregate import cells
from harness.runner.matching import Face, counted, matched
from harness.runner.planning import plan
from tests.unit.report.made_records import scored

TASK = "synthetic/shift[length=64]"


def planned(*models, **changes):
    runs = [RunSpec(task=TASK, model=model) for model in models]
    return plan(PlanRequest(runs=runs, plugins=[], requirements=True, changes=changes))


def test_models_are_planned_at_widths_at_which_their_parameters_match():
    runs = planned("s4d", "gru", "dlr", match="params=100k").runs

    assert len({run.spec.protocol.width for run in runs}) == 3
    for run in runs:
        assert run.spec.protocol.match == "parameters=100000"
        assert run.requirements.parameters == pytest.approx(100_000, rel=0.02)


@pytest.mark.parametrize("name", ["s4d", "gru", "transformer", "mamba2"])
def test_no_other_width_is_nearer(name):
    face, model = Face.of(load_task(TASK)), load_model(name)

    width, parameters = matched(face, model, 1, 30_000)

    assert counted(face, model, width, 1) == parameters
    for other in range(8, 200):
        try:
            found = counted(face, model, other, 1)
        except ValueError:
            continue  # its heads do not divide it
        assert abs(found - 30_000) >= abs(parameters - 30_000)


def test_a_model_without_a_width_near_enough_is_skipped_with_what_is_nearest():
    (run,) = planned("mamba2", match="params=20k").runs

    assert re.fullmatch(
        r"Its network nearest to 20,000 parameters has [\d,]+, at width \d+: \d+ % too (many|few).",
        run.skip,
    )


def test_a_model_that_builds_its_whole_network_keeps_its_width():
    (run,) = planned("chance", match="params=200k").runs

    assert run.skip == ""
    assert run.spec.protocol.width == load_task(TASK).protocol.width


def test_the_depth_of_a_trial_has_a_width_of_its_own():
    *trials, _ = planned("gru", match="params=50k", sweep="depth=1,4").runs

    shallow, deep = (trial.spec.protocol.width for trial in trials)
    assert shallow > deep
    assert all(t.requirements.parameters == pytest.approx(50_000, rel=0.02) for t in trials)


def test_a_trial_may_be_matched_where_the_run_would_not_be_with_its_own_values():
    far, near, final = planned("mamba2", match="params=17k", sweep="state=64,128").runs

    assert near.skip == ""
    assert "too few" in far.skip
    assert far.skip == final.skip


def test_matched_models_of_different_widths_stand_in_one_row():
    match = Protocol(match="parameters=1000")
    records = [
        scored(0.9, model="gru", protocol=replace(match, width=10)),
        scored(0.8, model="s4d", protocol=replace(match, width=20)),
    ]

    assert len({cell.task for cell in cells(records)}) == 1


def test_all_models_are_matched_in_a_few_seconds():
    face = Face.of(load_task(TASK))
    recipes = [load_model(name) for name in registry().of("model")]

    found = [matched(face, recipe, 2, 300_000) for recipe in recipes]

    assert sum(each is not None for each in found) >= len(recipes) - 1


def test_an_ordinary_network_is_counted_without_torchs_compiler_which_takes_seconds():
    code = (
        "import sys\n"
        "from harness.plugins.loading import build\n"
        "from harness.runner.matching import Face, counted\n"
        "face = Face.of(build('task', 'synthetic/shift'))\n"
        "assert counted(face, build('model', 's4d'), 64, 2)\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
