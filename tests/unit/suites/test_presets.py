"""Presets ask for what they say: published rates, every task, three models."""

from collections import defaultdict

import pytest
from torch import nn

from harness.core.config import Selector
from harness.core.messages import PlanRequest
from harness.plugins.loading import build, load_task
from harness.plugins.registry import registry
from harness.runner.planning import plan
from harness.runner.sweep import preset_runs
from harness.training.loop import optimizer_groups
from harness.training.pace import Pace
from suites.presets import cpu, paper, smoke


def rates(row):
    """Return the learning rate and the decay of each parameter that a row's recipe names."""
    run = row.run()
    recipe = build("model", run.model)
    named = nn.ParameterDict(
        {
            name: nn.Parameter(nn.Linear(2, 2).weight.detach())
            for name in (*recipe.parameter_groups(), "weight")
        }
    )
    groups = optimizer_groups(named, recipe, run.protocol)
    return {
        name: (group["lr"], group["weight_decay"])
        for group in groups
        for name, parameter in named.items()
        if any(parameter is member for member in group["params"])
    }


@pytest.mark.parametrize("row", paper.ROWS, ids=lambda row: f"{row.task}-{row.model}-{row.lr}")
def test_every_rate_of_a_row_is_the_printed_one(row):
    found = rates(row)

    assert found.pop("weight") == (row.lr, row.weight_decay)
    assert {rate for rate, _ in found.values()} <= {row.lr, row.ssm_lr, row.dt_lr}
    if row.ssm_lr is not None:
        slow = [rate for name, (rate, _) in found.items() if name in {"A_re", "Lambda_re"}]
        assert slow == [row.ssm_lr]
    if row.dt_lr is not None:
        assert found["log_dt"] == (row.dt_lr, 0.0)


@pytest.mark.parametrize("row", paper.ROWS[:: len(paper.ROWS) // 12], ids=lambda row: row.task)
def test_the_rates_rise_over_the_printed_steps_and_then_fall_or_stay(row):
    factor = Pace(row.run().protocol).factor

    last = max(1, row.warmup) - 1
    assert factor(last) == pytest.approx(1.0)
    assert last == 0 or factor(last - 1) < 1
    assert factor(row.steps) == pytest.approx(1.0 if row.schedule == "constant" else 0.0, abs=1e-6)


def test_no_two_rows_ask_for_the_same_run_and_each_names_its_source():
    runs = paper.runs()

    assert len(set(runs)) == len(runs) > 100
    assert all(row.source for row in paper.ROWS)


@pytest.mark.parametrize(
    ("task", "model", "lr", "steps", "batch"),
    [
        ("synthetic/shift[length=4096]", "dlr", 1e-4, 43_200, 16),
        ("synthetic/mips[length=4096]", "transformer", 1e-4, 172_800, 4),
        ("lra/image[variant=s4]", "s4d", 0.01, 200_000, 50),
        ("lra/image[variant=s4]", "s5", 4.5e-3, 225_000, 50),
        ("lra/path-x[variant=s4,sets=published]", "s4", 5e-4, 500_000, 16),
        ("speech/sc35", "s5", 8e-3, 212_080, 16),
        ("lra/text[variant=s4]", "hgrn2", 5e-3, 15_600, 64),
    ],
)
def test_rows_are_those_of_the_tables(task, model, lr, steps, batch):
    found = {
        (row.lr, row.steps, row.batch)
        for row in paper.ROWS
        if (row.task, Selector(row.model).name) == (task, model)
    }

    assert (lr, steps, batch) in found


S4_TABLE = [  # lra_s4.md 4.9: task, layers, width, dropout, rate, batch, decay, steps, warm-up
    ("lra/listops", 8, 128, 0, 0.01, 50, 0.05, 80_000, 1000),
    ("lra/text", 6, 256, 0, 0.01, 16, 0.05, 50_000, 1000),
    ("lra/retrieval", 6, 256, 0, 0.01, 64, 0.05, 50_000, 2500),
    ("lra/image", 6, 512, 0.1, 0.01, 50, 0.05, 200_000, 1000),
    ("lra/pathfinder", 6, 256, 0, 0.004, 64, 0.03, 500_000, 2500),
    ("lra/path-x", 6, 256, 0, 5e-4, 16, 0.05, 500_000, 10_000),
    ("images/scifar", 6, 512, 0.1, 0.01, 50, 0.05, 200_000, 1000),
    ("speech/sc35", 6, 128, 0, 0.01, 16, 0.05, 200_000, 1000),
]


@pytest.mark.parametrize("model", ["s4", "s4d"])
@pytest.mark.parametrize("line", S4_TABLE, ids=lambda line: line[0])
def test_the_rows_of_s4_hold_every_number_of_its_table(line, model):
    rows = [
        row
        for row in paper.ROWS
        if (Selector(row.task).name, Selector(row.model).name) == (line[0], model)
    ]

    assert rows
    for row in rows:
        rates_ = (row.dropout, row.lr, row.batch, row.weight_decay, row.steps, row.warmup)
        assert (row.depth, row.width, *rates_) == line[1:]


def test_smoke_tries_three_models_on_every_task_that_needs_no_download():
    models, lengths = defaultdict(set), defaultdict(set)
    for run in smoke.runs():
        task = run.task
        models[task.name].add(run.model)
        lengths[task.name].add(task.options.get("length"))
    tasks = [load_task(name) for name in registry().of("task")]
    wanted = {t.name for t in tasks if not t.files()}

    assert set(models) == wanted
    assert [name for name, tried in models.items() if len(tried) < 3] == []
    learning = {task.name for task in tasks if task.learns} & wanted
    assert [name for name in learning if "chance" not in models[name]] == []
    assert [name for name in wanted - learning if len(lengths[name]) < 2] == []


def test_every_training_of_the_evening_is_limited_and_shared_fairly():
    trainings = [run for run in cpu.runs() if not run.task.startswith("scaling/")]
    limits = defaultdict(set)
    for run in trainings:
        limits[run.task].add(run.protocol)

    assert all(len(protocols) == 1 for protocols in limits.values())
    assert sum(run.protocol.seconds for run in trainings if run.model != "chance") < 4 * 3600


def test_a_preset_runs_what_is_named_of_it_whatever_else_that_has_for_options():
    every = preset_runs("tables", None, "cpu")
    some = preset_runs(
        "tables", None, "cpu", tasks=["tracking", "retrieval/mqar[pairs=4]"], models=["mamba2"]
    )

    assert [run for run in every if run in some] == list(some)
    assert {run.task.name for run in some} >= {"tracking/parity", "retrieval/mqar"}
    assert {run.model.name for run in some} == {"mamba2"}
    assert {run.task.options["pairs"] for run in some if run.task.name == "retrieval/mqar"} == {4}


def test_the_overview_of_tasks_says_what_their_files_say(root):
    text = (root / "docs" / "tasks" / "index.md").read_text()
    rows = {
        name: f"| `{name}` | {entry.summary} |" for name, entry in registry().of("task").items()
    }

    assert [name for name, row in rows.items() if row not in text] == []
    assert text.count("\n| `") == len(rows)


def test_the_page_of_presets_names_them_all(root):
    text = (root / "docs" / "presets.md").read_text()

    assert [name for name in registry().of("preset") if f"| `{name}` |" not in text] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(registry().of("preset")))
def test_every_run_of_a_preset_can_be_built(name):
    runs = list(preset_runs(name, None, "cpu"))
    found = plan(PlanRequest(runs=runs, plugins=[], requirements=True))

    assert (found.error, found.problems) == ("", [])
    assert [run.task for run in found.runs if run.requirements and run.requirements.refusal] == []
    assert [run.task for run in found.runs if run.skip] == []
