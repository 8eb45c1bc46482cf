"""Who may import whom, and that the contracts in `.importlinter` would notice."""

import shutil
import subprocess
import sys
from copy import deepcopy
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import grimp
import pytest
from importlinter.api import read_configuration
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.independence import IndependenceContract
from importlinter.contracts.layers import LayersContract
from importlinter.contracts.protected import ProtectedContract

from harness.core.config import RunSpec
from harness.runner.sweep import Sweep, perform, plan

ROOT = Path(__file__).parents[2]
PACKAGES = ("harness", "suites", "baselines")
CONTRACTS = {
    "forbidden": ForbiddenContract,
    "independence": IndependenceContract,
    "layers": LayersContract,
    "protected": ProtectedContract,
}
LINTER: dict[str, Any] = read_configuration(str(ROOT / ".importlinter"))
[FLOORS] = [each for each in LINTER["contracts_options"] if each["id"] == "floors"]
LAYERS = [[room.strip() for room in layer.split("|")] for layer in FLOORS["layers"]]
UPWARDS = [
    (lower, upper) for above, below in pairwise(LAYERS) for lower, upper in product(below, above)
]
ACROSS = [pair for layer in LAYERS for pair in product(layer, layer) if len(set(pair)) == 2]


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Read every import of the packages."""
    return grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)


def broken(graph: grimp.ImportGraph) -> set[str]:
    """Return the ids of the contracts that the imports break."""
    session = LINTER["session_options"]
    found = set()
    for options in LINTER["contracts_options"]:
        contract = CONTRACTS[options["type"]](options["name"], session, options)
        if not contract.check(deepcopy(graph), verbose=False).kept:
            found.add(options["id"])
    return found


def with_import(graph: grimp.ImportGraph, importer: str, imported: str) -> grimp.ImportGraph:
    """Return the imports and one more."""
    more = deepcopy(graph)
    more.add_import(
        importer=importer, imported=imported, line_number=1, line_contents=f"import {imported}"
    )
    return more


def test_the_contracts_are_kept(graph: grimp.ImportGraph) -> None:
    assert broken(graph) == set()


@pytest.mark.parametrize(("importer", "imported"), UPWARDS + ACROSS)
def test_an_import_of_the_floor_above_or_of_a_neighbour_is_found(
    graph: grimp.ImportGraph, importer: str, imported: str
) -> None:
    more = with_import(graph, f"harness.{importer}", f"harness.{imported}")
    assert "floors" in broken(more)


def test_a_room_on_no_floor_is_found(graph: grimp.ImportGraph) -> None:
    more = deepcopy(graph)
    more.add_module("harness.attic")
    assert broken(more) == {"floors"}


def test_no_import_is_excepted() -> None:
    text = (ROOT / ".importlinter").read_text()
    assert "ignore_imports" not in text
    assert "unmatched" not in text


@pytest.mark.parametrize(
    ("importer", "imported", "contract"),
    [
        ("harness.report", "torch", "no-torch"),
        ("harness.results.store", "harness.core.seeding", "no-torch"),
        ("harness.plugins.registry", "suites", "one-way"),
        ("harness.nn.backbone", "baselines", "one-way"),
        ("suites", "baselines", "plugins-are-strangers"),
        ("suites.synthetic.shift", "harness.plugins.loading", "one-door"),
        ("baselines.ops", "harness.core.config", "one-door"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(
    graph: grimp.ImportGraph, importer: str, imported: str, contract: str
) -> None:
    assert contract in broken(with_import(graph, importer, imported))


def test_an_upward_import_fails_the_command(tmp_path: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    shutil.copy(ROOT / ".importlinter", tmp_path)
    with (tmp_path / "harness" / "contract" / "batch.py").open("a") as file:
        file.write("\nimport harness.training.loop\n")
    # The installed packages are another checkout's, so the folder comes first.
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from importlinter.cli import lint_imports\n"
        "sys.exit(lint_imports(no_cache=True))"
    )
    linted = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert linted.returncode == 1
    assert "stand on floors BROKEN" in " ".join(linted.stdout.split())


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["run", "--help"]], ids=" ".join)
def test_the_command_line_answers_without_torch(arguments: list[str]) -> None:
    code = (
        "import sys; from harness.cli import main\n"
        f"sys.argv = ['ssm-bench', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "heavy = {'torch', 'pandas', 'matplotlib', 'scipy'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    answered = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert answered.returncode == 0, answered.stderr
    assert answered.stdout


def test_the_parent_of_runs_holds_no_torch() -> None:
    code = (
        "import sys, harness.runner.sweep, harness.runner.executors.local\n"
        "import harness.results.store, harness.report\n"
        "from harness.measure import memory\n"
        "assert memory.peak(lambda: None).peak_bytes > 0\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_contract_loads_nothing_but_torch() -> None:
    code = (
        "import sys, harness.api, tests.architecture.loaded as loaded\n"
        "heavy = set(loaded.FOR_NOTHING) & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_runs_that_train_nothing_load_nothing_for_it(tmp_path: Path) -> None:
    plugin = str(Path(__file__).with_name("loaded.py"))
    tasks = ("synthetic/shift[length=16]", "scaling/forward[length=1024]")
    runs = tuple(RunSpec(task=task, model="loaded") for task in tasks)
    sweep = Sweep(runs=runs, results=str(tmp_path), plugins=(plugin,), changes={"budget_s": 0.1})
    found = [(each.outcome, each.reason, each.path) for each in perform(sweep, plan(sweep).runs)]
    assert found == [("ok", "", "")] * 2
