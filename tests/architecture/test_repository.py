"""That the files around the code agree with it: pins, commands, documentation, citation."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer
import yaml
from asv.config import Config
from asv.util import load_json
from typer.main import get_command

from harness.cli import app
from harness.testing.__main__ import main


def pins(root: Path) -> list[str]:
    """Return the lines of constraints.txt that pin something."""
    lines = (root / "constraints.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_torch_is_pinned_once(root: Path) -> None:
    assert [pin for pin in pins(root) if pin.startswith("torch==")] == ["torch==2.13.0"]


def test_every_pin_is_exact_and_stands_once(root: Path) -> None:
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins(root))
    names = [re.sub(r"[-_.]+", "-", pin.partition("==")[0]).lower() for pin in pins(root)]
    assert len(names) == len(set(names))


def test_every_dependency_is_pinned(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["dev"], *extras["asv"]]
    names = {re.match(r"[\w.-]+", text)[0].lower().replace("_", "-") for text in wanted}  # type: ignore[index]
    pinned = {pin.partition("==")[0].lower().replace("_", "-") for pin in pins(root)}
    # The project pins no self, and torch's builds for CUDA ask for one version of Triton each.
    assert names - pinned <= {"ssm-bench", "triton"}


def test_every_key_of_asv_conf_json_is_one_that_asv_reads(root: Path) -> None:
    """A key that asv does not know does nothing, without a word."""
    keys = set(load_json(str(root / "asv.conf.json"), api_version=1, js_comments=True))
    assert keys
    assert keys <= vars(Config()).keys()


def test_asv_writes_nothing_into_results(root: Path) -> None:
    conf = load_json(str(root / "asv.conf.json"), api_version=1, js_comments=True)
    folders = [conf["env_dir"], conf["results_dir"], conf["html_dir"]]
    assert all(folder.startswith(".asv/") for folder in folders)
    assert ".asv/" in (root / ".gitignore").read_text().split()


def console_lines(text: str) -> list[str]:
    """Return the commands of a page's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def pages(root: Path) -> list[Path]:
    """Return what people read."""
    return [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").rglob("*.md"))]


def test_every_command_of_the_pages_is_a_verb_with_these_options(root: Path) -> None:
    group = get_command(app)
    context = typer.Context(group)
    seen = 0
    for page in pages(root):
        for line in console_lines(page.read_text()):
            words = line.split()
            if not words[0].endswith("ssm-bench"):
                continue
            verb = group.get_command(context, words[1])  # type: ignore[attr-defined]
            assert verb is not None, f"{page.name}: no verb {words[1]!r}"
            known = {option for parameter in verb.params for option in parameter.opts}
            asked = {word for word in words[2:] if word.startswith("-")} - {"--help"}
            assert asked <= known, f"{page.name}: {line}"
            seen += 1
    assert seen >= 10


def test_every_make_target_of_the_pages_exists(root: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), flags=re.MULTILINE))
    asked = {
        words[1]
        for page in pages(root)
        for line in console_lines(page.read_text())
        if (words := line.split())[0] == "make"
    }
    assert {"quickstart", "test", "asv"} <= asked <= targets


def test_the_readme_shows_the_example_that_the_tests_run(root: Path) -> None:
    example = (root / "docs" / "examples" / "leaky.py").read_text()
    assert f"```python\n{example}```" in (root / "README.md").read_text()


def test_the_documentation_includes_the_examples_themselves(root: Path) -> None:
    pages = {
        "leaky": "add-a-model.md",
        "flip": "add-a-task.md",
        "hugging_face": "add-a-network.md",
        "notebook": "notebook.md",
    }
    assert {path.stem for path in (root / "docs" / "examples").glob("*.py")} == pages.keys()
    for name, page in pages.items():
        assert f'--8<-- "examples/{name}.py"' in (root / "docs" / page).read_text()


@pytest.mark.filterwarnings("ignore")  # other people's packages
@pytest.mark.parametrize(
    ("kind", "name"), [("model", "leaky"), ("task", "flip"), ("model", "hugging-face")]
)
def test_the_examples_keep_the_contract(
    root: Path, kind: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "hugging-face":
        pytest.importorskip("transformers")
    plugin = root / "docs" / "examples" / f"{name.replace('-', '_')}.py"
    assert main([kind, name, "--plugin", str(plugin), "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 5


def test_the_citation_names_this_version(root: Path) -> None:
    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])


def test_make_refuses_an_old_python_with_a_sentence(root: Path, tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    shutil.copy(root / "Makefile", tmp_path)
    shutil.copy(root / "constraints.txt", tmp_path)
    made = subprocess.run(
        ["make", "-C", str(tmp_path), f"PYTHON={old}", ".venv/.made"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert made.returncode == 2
    assert "needs Python 3.11 or newer" in made.stderr
    assert not (tmp_path / ".venv").exists()
