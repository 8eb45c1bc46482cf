"""That asv really measures commits and keeps what it measured."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import operators
from benchmarks.benchmark import find

GITCONFIG = """[user]
    name = Tests
    email = tests@example.org
[safe]
    directory = *
"""


def call(folder: Path, home: Path, *command: str) -> str:
    """Run a command in a folder with a home of its own, and return what it said."""
    # An asv that runs these tests must not be taken for the one that they run.
    env = {key: value for key, value in os.environ.items() if not key.startswith(("ASV", "GIT"))}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**env, "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.asv
def test_asv_measures_two_commits_and_keeps_both(root: Path, tmp_path: Path) -> None:
    if not (root / ".git").exists():
        pytest.skip("this is no git clone, so it has no commits to measure")
    home, clone = tmp_path / "home", tmp_path / "clone"
    home.mkdir()
    (home / ".gitconfig").write_text(GITCONFIG)
    call(tmp_path, home, "git", "clone", "--quiet", str(root), str(clone))
    module = clone / "baselines" / "ops" / "convolution" / "fft_convolution.py"
    for name in ("one", "two"):
        module.write_text(f"{module.read_text()}\n# {name}\n")
        call(clone, home, "git", "commit", "--quiet", "--all", "--message", f"Add {name}")
    asv = (sys.executable, "-m", "asv")
    call(clone, home, *asv, "machine", "--yes")
    one = ("--quick", "--show-stderr", "--bench", "time_convolution")
    call(clone, home, *asv, "run", *one, "HEAD~2..HEAD")

    files = [*(clone / ".asv" / "results").glob("*/*-layered-*.json")]
    commits = call(clone, home, "git", "rev-list", "--max-count=2", "HEAD").split()
    found = {result["commit_hash"]: result for result in map(read, files)}
    assert found.keys() == set(commits)
    for result in found.values():
        measured = dict(zip(result["result_columns"], *lines(result), strict=False))
        assert all(seconds > 0 for seconds in measured["result"])
        assert "torch" in result["requirements"]
    compared = call(clone, home, *asv, "compare", "HEAD~1", "HEAD")
    assert "time_convolution" in compared
    call(clone, home, *asv, "publish")
    assert (clone / ".asv" / "html" / "index.html").is_file()
    assert not call(clone, home, "git", "status", "--porcelain")


def read(path: Path) -> dict[str, object]:
    """Return a result file's content."""
    content: dict[str, object] = json.loads(path.read_text())
    return content


def lines(result: dict[str, object]) -> list[list[object]]:
    """Return what was measured, one list of columns a benchmark."""
    results = result["results"]
    assert isinstance(results, dict)
    return list(results.values())


def test_a_module_is_found_wherever_it_lies_and_by_an_earlier_name() -> None:
    assert find("harness", "errors", "spec").__name__ == "harness.core.errors"
    assert find("harness", "a_name_to_come", "errors") is find("harness", "errors", "spec")
    with pytest.raises(ImportError, match="0 modules called nowhere"):
        find("harness", "nowhere")


def test_what_a_commit_lacks_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators, "find", lambda *_: find("baselines", "nowhere"))

    with pytest.raises(NotImplementedError, match="nowhere"):
        operators.Convolution().setup(1024)


def test_every_benchmark_can_be_found(root: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from benchmarks import command, networks, operators\n"
        "assert networks.models()\n"
        "assert 'torch' not in sys.modules"
    )
    call(root, tmp_path, sys.executable, "-c", code)
