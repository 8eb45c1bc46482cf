"""One bad plugin hides nobody: it is reported with its sentence, and all else is planned."""

import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint

import pytest

from harness.cli import doctor
from harness.core.config import RunSpec
from harness.core.errors import SpecError
from harness.core.messages import PlanRequest, Result
from harness.plugins import registry as registries
from harness.plugins.loading import BrokenPluginError, build, imported
from harness.results.store import Store
from harness.runner import executors, planner, planning
from harness.runner import sweep as sweeps
from harness.runner.executors import Executor
from harness.runner.matching import Face, counted
from tests.unit.report.made_records import planned
from tests.unit.runner.one_by_one import OneByOne

TASK = "synthetic/shift[length=16]"
MODEL = """
import sys, os
from dataclasses import dataclass
from harness.api import Mixer, Model

@dataclass(frozen=True, kw_only=True)
class Bad(Model):
    {field}

    def build(self, *, width, length, causal):
        return Mixer()
"""
FIELDS = {
    "post-init": "def __post_init__(self): raise KeyError('post')",
    "exit": "def __post_init__(self): sys.exit('post')",
    "skip": "def skip(self, task): raise KeyError('post')",
}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return what makes a package with a bad `__init__` an entry point beside a good model."""

    def install(said):
        package = tmp_path / "badly"
        package.mkdir()
        (package / "__init__.py").write_text(said)
        (package / "models").mkdir()
        (package / "models" / "__init__.py").write_text("")
        (package / "models" / "fine.py").write_text('"""A model."""\n')
        monkeypatch.syspath_prepend(str(tmp_path))
        point = EntryPoint("badly", "badly.models", "ssm_bench.models")
        known = registries.entry_points
        monkeypatch.setattr(
            registries,
            "entry_points",
            lambda group: [*known(group=group), *([point] if group == point.group else [])],
        )
        return registries.registry.__wrapped__(())

    return install


@pytest.mark.parametrize(
    "said", ["raise RuntimeError('no')", "import sys; sys.exit(3)", "import time; time.sleep(600)"]
)
def test_a_package_that_cannot_be_imported_is_listed_unimported_and_hides_nobody(installed, said):
    found = installed(said).of("model")

    assert {"fine", "s4d"} <= found.keys()
    assert "badly" not in sys.modules


def test_a_package_that_exits_is_a_broken_plugin(installed):
    entry = installed("import sys; sys.exit(3)").find("model", "fine")

    with pytest.raises(BrokenPluginError, match="cannot be imported: SystemExit: 3"):
        imported(entry)


@pytest.mark.parametrize("kind", FIELDS)
def test_an_exception_of_a_recipe_is_a_problem_and_the_other_runs_are_planned(tmp_path, kind):
    file = tmp_path / f"bad-{kind}.py"
    file.write_text(MODEL.format(field=FIELDS[kind]))
    runs = [RunSpec(task=TASK, model=name) for name in (f"bad-{kind}", "chance")]

    found = planning.plan(PlanRequest(runs=runs, plugins=[str(file)]))

    assert [run.model for run in found.runs] == ["chance"]
    [problem] = found.problems
    assert problem.startswith(f"bad-{kind} on {TASK} cannot be planned: ")
    assert "post" in problem


SCRIPT = """
import json, os, sys, time
request = json.loads(sys.stdin.buffer.read())
token = request["token"]
for place, run in enumerate(request["runs"]):
    print(token, json.dumps({"type": "Progress", "step": place, "steps": 0}), flush=True)
    if run["model"] == "dies":
        print("Oh no", file=sys.stderr, flush=True)
        os.kill(os.getpid(), 9)
    if run["model"] == "sleeps":
        time.sleep(60)
    if run["model"] == "garbage":
        print(token, "garbage", flush=True)
print(token, json.dumps({"type": "Plan", "problems": [run["model"] for run in request["runs"]]}))
"""


def test_a_plugin_that_ends_or_keeps_its_planner_is_told_of_and_the_others_are_planned(monkeypatch):
    monkeypatch.setattr(planner.machine, "python", lambda *words: [sys.executable, "-c", SCRIPT])
    monkeypatch.setattr(planner, "PATIENCE_S", 2.0)
    names = ["good", "dies", "sleeps", "garbage", "fine"]
    runs = [RunSpec(task=TASK, model=name) for name in names]

    *problems, good, fine = planner.planned(PlanRequest(runs=runs, plugins=[])).problems

    assert (good, fine) == ("good", "fine")
    assert problems[0].startswith(f"dies on {TASK} cannot be planned: its process was ended by")
    assert problems[0].endswith("SIGKILL. Its last words: Oh no")
    assert problems[1].endswith("cannot be planned: it took longer than 2 s.")
    assert "sent no plan" in problems[2]


def test_a_model_or_a_task_that_ends_two_planners_is_asked_no_more():
    tasks = [f"t{number}" for number in range(9)]
    runs = [RunSpec(task=task, model=model) for task in tasks for model in ("bad", "good")]

    once = planner.spared(runs, [runs[0]], [])
    unknown = planner.spared(runs, [runs[0], runs[2]], [])
    known = planner.spared(runs, [runs[0], runs[2]], [runs[1], runs[3]])

    assert len(once) == len(runs) - 1
    assert len(unknown) == len(runs) - 2, "it may have been the tasks"
    assert {run.model for run in known} == {"good"}
    assert len(known) == len(tasks)


@dataclass(frozen=True, kw_only=True)
class Raises(Executor):
    """Opens a pool that breaks at a stage."""

    stage: str = "collect"

    def open(self):
        return RaisingPool(self.stage)


class RaisingPool(OneByOne):
    """Breaks at one stage, once: where it does jobs of s4d."""

    def __init__(self, stage):
        super().__init__()
        self.stage = stage

    def refuse(self, stage, job):
        if stage == self.stage and job.planned.model == "s4d":
            self.stage = ""
            self.job = None
            raise KeyError("node")

    def submit(self, job):
        super().submit(job)
        self.refuse("submit", job)

    def events(self):
        self.refuse("events", self.job)
        yield from super().events()

    def execute(self, job, on_progress):
        self.refuse("collect", job)
        return Result(outcome="skipped", reason="Done.")


@pytest.mark.parametrize("stage", ["submit", "events", "collect"])
def test_an_executor_that_raises_leaves_the_outcome_of_its_run(tmp_path, monkeypatch, stage):
    point = EntryPoint("odd", f"{__name__}:Raises", executors.GROUP)
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    monkeypatch.setattr(executors, "entry_points", lambda group: [point])
    runs = [planned(model="s4d"), planned(model="dlr")]

    sweep = sweeps.Sweep(runs=(), results=str(tmp_path), executor=f"odd[stage={stage}]")
    records = list(sweeps.perform(sweep, runs))

    assert [record.outcome for record in records] == ["failed", "skipped"]
    assert records[0].reason == "Its executor failed: KeyError: 'node'"
    assert len(Store(tmp_path).records()) == 2


def test_an_executor_or_a_fact_that_cannot_be_loaded_is_told_of(monkeypatch, tmp_path):
    (tmp_path / "exits_at_import.py").write_text("import sys\nsys.exit('gone')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    point = EntryPoint("odd", "exits_at_import:thing", "any")
    monkeypatch.setattr(executors, "entry_points", lambda group: [point])

    with pytest.raises(SpecError, match="executor 'odd' cannot be loaded: SystemExit: gone"):
        executors.load_executor("odd")
    assert doctor.stated(point).status == "wrong"
    assert "SystemExit: gone" in doctor.stated(point).said


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a b.py", "a-b"),
        ("a.b.py", "a-b"),
        ("ä.py", "a"),
        ("日本.py", "unnamed"),
        ("A_b.py", "a-b"),
    ],
)
def test_a_file_of_whatever_name_is_a_plugin_that_can_be_typed(tmp_path, file, name):
    path = tmp_path / file
    path.write_text(MODEL.format(field="pass"))

    recipe = build("model", name, (str(path),))

    assert recipe.name == name


def test_a_network_that_would_take_hours_or_gigabytes_to_build_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("harness.runner.matching.LONGEST_S", 0.5)
    face = Face.of(build("task", TASK))

    assert counted(face, build("model", "s4d"), 64, 999_999) is None
    wide = counted(face, build("model", "transformer"), 12_000, 1)
    assert wide is not None
    assert wide > 10**8
