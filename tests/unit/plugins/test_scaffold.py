"""New plugins: they work at once, and bad names get a sentence."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Literal

import pytest

from harness.api import NetworkModel
from harness.core.errors import SpecError
from harness.core.plugin_names import GROUPS
from harness.plugins.loading import build
from harness.plugins.registry import registry
from harness.plugins.scaffold import create
from harness.testing import run_checks

Kind = Literal["model", "task"]
KINDS: tuple[Kind, ...] = ("model", "task")


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_passes_every_check_that_applies(kind: Kind, tmp_path: Path) -> None:
    package = create(kind, f"fresh-{kind}", tmp_path)

    results = list(run_checks("auto", f"fresh-{kind}", (str(package / f"fresh_{kind}.py"),)))

    idle = {
        "task": {"further-sets-ask-the-same", "shortcuts-are-better-than-chance"},
        "model": set(),
    }[kind]
    assert {result.name for result in results if result.outcome != "passed"} == idle
    assert {result.outcome for result in results if result.name in idle} <= {"not-applicable"}


def test_its_own_test_passes(tmp_path: Path) -> None:
    packages = [create(kind, f"tested-{kind}", tmp_path) for kind in KINDS]
    packages.append(create("model", "tested-network", tmp_path, network=True))

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *packages], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout
    assert "failed" not in done.stdout


def test_a_new_network_passes_every_check_and_is_its_own_backbone(tmp_path: Path) -> None:
    package = create("model", "fresh-network", tmp_path, network=True)
    file = str(package / "fresh_network.py")

    assert {result.outcome for result in run_checks("auto", "fresh-network", (file,))} == {"passed"}
    assert isinstance(build("model", "fresh-network", (file,)), NetworkModel)
    plain = create("model", "fresh-mixer", tmp_path)
    assert sorted(path.suffix for path in package.iterdir()) == sorted(
        path.suffix for path in plain.iterdir()
    )


@pytest.mark.parametrize("kind", KINDS)
def test_its_entry_point_names_its_module_in_the_group_of_its_kind(
    kind: Kind, tmp_path: Path
) -> None:
    package = create(kind, f"entered-{kind}", tmp_path)

    project = tomllib.loads((package / "pyproject.toml").read_text())

    [(group, points)] = project["project"]["entry-points"].items()
    assert GROUPS[group] == kind
    assert points == {f"entered-{kind}": f"entered_{kind}"}
    assert project["tool"]["setuptools"]["py-modules"] == [f"entered_{kind}"]
    assert "dependencies" not in project["project"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_word_of_a_template_is_left_over(kind: Kind, tmp_path: Path) -> None:
    package = create(kind, "whole", tmp_path)

    written = {path.name: path.read_text() for path in package.iterdir()}

    assert set(written) == {"README.md", "pyproject.toml", "test_whole.py", "whole.py"}
    assert not any("${" in text for text in written.values())


@pytest.mark.parametrize("name", ["Demo", "9lives", "a_b", "a--b", "-a", "a-", "", "../x", "a b"])
def test_a_bad_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no name for a plugin"):
        create("model", name, tmp_path)

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["json", "torch", "class", "harness"])
def test_a_name_that_would_hide_a_module_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="would hide the Python module"):
        create("task", name, tmp_path)


def test_a_taken_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.plugins.scaffold.registry", Taken)

    with pytest.raises(SpecError, match="exists already, from elsewhere"):
        create("model", "mine", tmp_path)


class Taken:
    """A registry in which one name is taken, and that name's entry."""

    origin = "elsewhere"

    def of(self, _kind: str) -> dict[str, "Taken"]:
        """Return the one entry, whatever the kind."""
        return {"mine": self}


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()

    with pytest.raises(SpecError, match="exists already; choose another name or remove it"):
        create("model", "mine", tmp_path)

    assert not list((tmp_path / "mine").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_installed_plugin_is_found_by_its_name_alone(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, target = f"installed-{kind}", tmp_path / "target"
    package = create(kind, name, tmp_path)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(target), str(package)], check=True)
    monkeypatch.syspath_prepend(target)
    importlib.invalidate_caches()

    registry.cache_clear()
    try:
        assert registry().find(kind, name).origin == f"ssm-bench-{name}"
        assert build(kind, name).name == name
    finally:
        registry.cache_clear()
