"""The harness knows no plugin by name: no model, no task, no preset and no folder of ours."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.plugin_names import Kind
from harness.plugins.registry import registry

KINDS: tuple[Kind, ...] = ("model", "task", "preset")
OWN_WORDS = {
    "chance": "a field of a record",
    "cpu": "a device",
    "forward": "a face of a layer",
    "paper": "a size of fonts",
    "presets": "a kind of plugin",
    "tables": "a folder of results",
    "train": "a split",
}
"""What the harness calls something else that a plugin or its folder is called, too."""


def names(root: Path) -> set[str]:
    """Return what plugins, suites and folders are called, whole and part by part."""
    whole = {name for kind in KINDS for name in registry().of(kind)}
    packages = [root / name for name in ("suites", "baselines")]
    folders = {path.name for each in packages for path in each.rglob("[a-z]*") if path.is_dir()}
    parts = {part for name in whole for part in name.split("/")}
    return (whole | parts | folders | {each.name for each in packages}) - OWN_WORDS.keys()


def texts(tree: ast.Module) -> Iterator[str]:
    """Yield the texts in code, parts of formatted ones too, and no docstrings."""
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value.strip("/.")


def test_no_name_of_a_plugin_or_its_folder_stands_in_the_code(root: Path) -> None:
    known = names(root)
    paths = [path for path in (root / "harness").rglob("*.py") if "templates" not in path.parts]
    found = {
        f"{path.relative_to(root)}: {text}"
        for path in paths
        for text in texts(ast.parse(path.read_text()))
        if text in known
    }
    assert found == set()


@pytest.mark.parametrize("code", ['x = "scaling/train"', 'x = f"scaling/{y}"', 'x == "ops"'])
def test_a_name_would_be_noticed(root: Path, code: str) -> None:
    assert set(texts(ast.parse(code))) & names(root)
