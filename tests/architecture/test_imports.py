"""Who may import whom, and that the contracts in `.importlinter` would notice."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ("harness", "suites", "baselines")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the packages of a folder, whatever is installed."""
    code = (
        f"import sys; sys.path.insert(0, {str(folder)!r})\n"
        "from importlinter.cli import lint_imports\n"
        "sys.exit(lint_imports(no_cache=True))"
    )
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """Copy the packages and their contracts."""
    for package in PACKAGES:
        shutil.copytree(root / package, tmp_path / package)
    shutil.copy(root / ".importlinter", tmp_path)
    return tmp_path


def test_the_contracts_are_kept(copy: Path) -> None:
    linted = lint(copy)
    assert linted.returncode == 0, linted.stdout
    assert " 0 broken" in linted.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("harness/report/__init__.py", "import torch", "never loads torch"),
        ("harness/results/store.py", "import harness.core.seeding", "never loads torch"),
        ("harness/plugins/registry.py", "import suites", "never the other way"),
        ("harness/nn/backbone.py", "import baselines", "never the other way"),
        ("suites/__init__.py", "import baselines", "never meet"),
        ("suites/synthetic/shift.py", "import harness.plugins.loading", "nothing behind it"),
        ("baselines/ops/__init__.py", "import harness.core.config", "nothing behind it"),
        ("harness/contract/batch.py", "import harness.training.loop", "stand on floors"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(
    copy: Path, module: str, line: str, contract: str
) -> None:
    with (copy / module).open("a") as file:
        file.write(f"\n{line}\n")
    linted = lint(copy)
    assert linted.returncode == 1
    broken = [text for text in linted.stdout.splitlines() if "BROKEN" in text]
    assert any(contract in text for text in broken), linted.stdout


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
