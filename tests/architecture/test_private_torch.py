"""What torch does not document is used through one list, and missed with a sentence."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name
from types import ModuleType

import pytest
import torch

from harness.core.errors import SpecError
from harness.core.private_torch import PRIVATE, TESTED, private_torch

ROOT = Path(__file__).parents[2]
HOME = "harness/core/private_torch.py"
OF_INSTANCES = {
    name
    for instance in (torch.Tensor(), torch.nn.Module(), torch.Generator())
    for name in dir(instance)
    if name.startswith("_") and not name.endswith("__")
}
"""What tensors and modules have and hide."""


def sources() -> dict[str, ast.Module]:
    """Parse the code of the packages."""
    paths = [
        p for package in ("harness", "suites", "baselines") for p in ROOT.glob(f"{package}/**/*.py")
    ]
    kept = [path for path in paths if "templates" not in path.parts]
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in kept}


def dotted(node: ast.expr) -> str:
    """Write `a.b.c` as it stands, with nothing before the first dot if that is no name."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def undocumented(tree: ast.Module) -> Iterator[str]:
    """Yield what a file takes from torch without a promise."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names.append(dotted(node))
            if node.attr in OF_INSTANCES:
                yield node.attr
    for name in names:
        parts = name.split(".")
        hidden = any(re.match(r"_[^_]", part) for part in parts) or parts[:2] == ["torch", "ops"]
        if parts[0] in {"torch", "nn", "F"} and (hidden or name in PRIVATE):
            yield name


def test_nothing_else_stands_on_what_torch_does_not_document() -> None:
    found = {path: sorted(undocumented(tree)) for path, tree in sources().items()}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "line",
    [
        "from torch._C import default_generator",
        "import torch._dynamo",
        "from torch.utils.flop_counter import flop_registry",
        "y = torch.ops.aten.silu_backward(g, x)",
        "y = torch.lstm(x)",
        "y = parameter._version",
        "y = self.layer._forward_hooks",
    ],
)
def test_a_hidden_name_would_be_found(line: str) -> None:
    assert list(undocumented(ast.parse(line)))


def test_every_name_of_the_list_is_used() -> None:
    texts = {
        node.value
        for path, tree in sources().items()
        for node in ast.walk(tree)
        if path != HOME and isinstance(node, ast.Constant)
    }
    assert PRIVATE.keys() <= texts


def test_the_torch_that_is_pinned_has_them_all(root: Path) -> None:
    assert f"torch=={TESTED}" in (root / "constraints.txt").read_text().split()
    assert all(private_torch(name) is not None for name in PRIVATE)


def test_the_decision_names_them_all(root: Path) -> None:
    [page] = root.glob("docs/decisions/*-private-torch-names.md")
    assert [name for name in PRIVATE if f"`{name}`" not in page.read_text()] == []


@pytest.mark.parametrize("name", PRIVATE)
def test_a_torch_without_a_name_fails_with_a_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    private_torch.cache_clear()
    path, _, attribute = name.replace("()", "").rpartition(".")
    owner = resolve_name(path)
    if type(owner) is ModuleType:
        monkeypatch.delattr(owner, attribute)
    else:  # a class or a set of operators, of which nothing can be taken away
        parent, _, last = path.rpartition(".")
        monkeypatch.setattr(resolve_name(parent), last, type(last, (), {}))

    with pytest.raises(SpecError) as raised:
        private_torch(name)

    told = str(raised.value)
    assert f"has no {name}, " in told
    assert PRIVATE[name] in told
    assert f"install torch {TESTED}" in told
