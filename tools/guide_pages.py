"""Fills in what the code knows of the guides: a protocol's fields, the shapes of predictions.

`python -m tools.guide_pages` writes between the markers `<!-- protocol -->` and
`<!-- predictions -->` and what closes them, in the guides; `--check` writes nothing and says which
are not as they should be.
"""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args, get_type_hints

import torch

from harness.api import OneLabel, Outputs, PairLabel, Protocol, StepLabels, Values
from harness.core.config import show
from tools.model_pages import filled, meanings, table

DOCS = Path(__file__).parents[1] / "docs"
GUIDES = ("add-a-model.md", "add-a-network.md", "add-a-task.md")
SIZES: Mapping[int, str] = {3: "b", 7: "l", 5: "c", 2: "p", 11: "s"}
"""Numbers by which shapes tell batch, length, classes, positions read and size of a value."""
KINDS: Mapping[str, tuple[Outputs, str, str]] = {
    "OneLabel(c)": (OneLabel(5), "(b,) integers", "one class a sequence"),
    "StepLabels(c)": (StepLabels(5), "(b, l) integers", "one class a position"),
    "PairLabel(c)": (PairLabel(5), "(b,) integers", "one class for two sequences"),
    "Values(s, last=p)": (Values(11, last=2), "(b, p, s) floats", "numbers at the last positions"),
    "Values(s, last=None)": (Values(11, last=None), "(b, 1, s) floats", "numbers of a sequence"),
}
"""What may be asked, with the targets that its loss takes."""


def main(arguments: Sequence[str]) -> int:
    """Write the guides, or with `--check` compare them; 1 if one differs."""
    check, wrong = "--check" in arguments, []
    parts = {"protocol": protocol(), "predictions": predictions()}
    for path in (DOCS / name for name in GUIDES):
        before = path.read_text()
        after = filled(before, parts)
        if not check:
            path.write_text(after)
        elif after != before:
            wrong.append(f"{path.name} is not up to date; run python -m tools.guide_pages.\n")
    sys.stderr.writelines(wrong)
    return int(bool(wrong))


def protocol() -> str:
    """Write the table of a protocol's fields."""
    hints, said = get_type_hints(Protocol), meanings(Protocol)
    rows = []
    for name, default in dataclasses.asdict(Protocol()).items():
        choices = ", ".join(f"`{choice}`" for choice in get_args(hints[name]))
        meaning = f"{said[name]} One of {choices}." if choices else said[name]
        written = show(default) or "''"
        rows.append([f"`{name}={written}`", meaning])
    return table(["field and default", "meaning"], rows)


def predictions() -> str:
    """Write the table of what is asked, with the shapes of inputs, targets and predictions."""
    rows = []
    for name, (outputs, targets, what) in KINDS.items():
        documents = f"b, {outputs.documents}" if outputs.documents > 1 else "b"
        inputs = f"({documents}, l) or ({documents}, l, k)"
        shapes = (text.replace(", ", ",&nbsp;") for text in (inputs, targets, shape(outputs)))
        rows.append([f"`{name}`", what, *shapes, outputs.metric])
    heads = ["outputs", "what is asked", "inputs", "targets", "predictions", "score"]
    return table(heads, rows)


def shape(outputs: Outputs) -> str:
    """Write the shape of predictions, with a letter for each size."""
    hidden = torch.zeros(3 * outputs.documents, 7, 4)
    made = outputs.head(4)(outputs.gather(hidden, None)).shape
    return f"({', '.join(SIZES.get(size, str(size)) for size in made)})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
