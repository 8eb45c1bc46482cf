"""The guides say of protocols, shapes and public names what the code says."""

import dataclasses
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor

import harness
import harness.api
from harness.api import Protocol
from tools import guide_pages

GUIDES = ("add-a-model.md", "add-a-task.md")


def test_the_generated_parts_of_the_guides_are_up_to_date(root: Path) -> None:
    command = [sys.executable, "-m", "tools.guide_pages", "--check"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_has_every_field_of_a_protocol_and_every_kind_of_outputs(
    root: Path, guide: str
) -> None:
    text = (root / "docs" / guide).read_text()
    names = {each.name for each in dataclasses.fields(Protocol)}
    assert names <= set(re.findall(r"^\| `(\w+)=[^`]+` \| \S", text, flags=re.MULTILINE))
    assert all(f"| `{kind}` |" in text for kind in guide_pages.KINDS)


@pytest.mark.parametrize("kind", guide_pages.KINDS)
def test_the_shapes_of_the_table_are_those_that_the_loss_takes(kind: str) -> None:
    outputs, targets, _ = guide_pages.KINDS[kind]
    wanted = tensor(targets)
    predictions = tensor(guide_pages.shape(outputs) + " floats")
    with warnings.catch_warnings(action="error"):  # of shapes that are broadcast
        assert outputs.loss(predictions, wanted).ndim == 0
        assert len(outputs.per_example(predictions, wanted)) == 3


def tensor(text: str) -> Tensor:
    """Return zeros as a table's cell describes them: `(b, l) integers`."""
    sizes = {letter: size for size, letter in guide_pages.SIZES.items()}
    shape, _, numbers = text.partition(") ")
    axes = [axis.strip() for axis in shape.strip("(").split(",") if axis.strip()]
    dtype = torch.long if numbers == "integers" else torch.float32
    return torch.zeros([sizes.get(axis) or int(axis) for axis in axes], dtype=dtype)


def test_the_reference_has_every_public_name_that_can_be_looked_at(root: Path) -> None:
    text = (root / "docs" / "reference.md").read_text()
    found = re.findall(r"^::: ([\w.]+)$", text, flags=re.MULTILINE)
    aliases = {"Split", "State"}

    assert {name.rpartition(".")[2] for name in found} | aliases == {
        *harness.__all__,
        *harness.api.__all__,
    }
    assert all(f"`{alias}`" in text for alias in aliases)
    assert len(found) == len(set(found))
