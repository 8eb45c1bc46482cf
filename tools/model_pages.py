"""Fills in what code and measurements know of the models' pages: options, costs, the overview.

`python tools/model_pages.py` writes between the markers `<!-- options -->`, `<!-- cost -->` and
`<!-- models -->` and what closes them, in docs/models; everything else there is written by hand.
`--check` writes nothing and says which pages are not as they should be.
"""

import ast
import csv
import dataclasses
import inspect
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from harness.core.config import show
from harness.plugins.loading import recipe_class
from harness.plugins.registry import Entry, registry
from harness.report import units

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "models"
TABLES = ROOT / "results" / "tables" / "v1"
OURS = "ssm-bench"
Rows = list[dict[str, str]]


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with `--check` compare them; 1 if one is missing or differs."""
    check, wrong = "--check" in arguments, []
    for path, parts in pages().items():
        if not path.exists():
            wrong.append(f"{path.name} is missing")
            continue
        before = path.read_text(encoding="utf-8")
        after = filled(before, parts)
        if not check:
            path.write_text(after, encoding="utf-8")
        elif after != before:
            wrong.append(f"{path.name} is not up to date")
        lacking = [name for name in parts if f"<!-- {name} -->\n" not in before]
        wrong += [f"{path.name} has no marker {name!r}" for name in lacking]
    sys.stderr.writelines(f"{sentence}; run python tools/model_pages.py.\n" for sentence in wrong)
    return int(bool(wrong))


def pages() -> dict[Path, dict[str, str]]:
    """Return each page with the text of its generated parts, by marker."""
    entries = [each for each in registry().of("model").values() if each.origin == OURS]
    parts = {each.name: {"options": options(each), "cost": cost(each.name)} for each in entries}
    parts["index"] = {"models": overview(entries)}
    return {PAGES / f"{name}.md": part for name, part in parts.items()}


def filled(text: str, parts: dict[str, str]) -> str:
    """Put each part behind its marker, in the place of what stood there up to the closing one."""
    for name, part in parts.items():
        head, opening, rest = text.partition(f"<!-- {name} -->\n")
        between, closing, tail = rest.partition(f"<!-- /{name} -->\n")
        tail = tail if closing else between
        text = f"{head}{opening}\n{part}\n\n<!-- /{name} -->\n{tail}" if opening else text
    return text


def overview(entries: Sequence[Entry]) -> str:
    """Write a table of all models, a line each."""
    rows = [[f"[`{entry.name}`]({entry.name}.md)", entry.summary] for entry in entries]
    return table(["model", "what it is"], rows)


def options(entry: Entry) -> str:
    """Write the table of a model's options, from its recipe."""
    recipe = recipe_class(entry)
    hints, said = get_type_hints(recipe), meanings(recipe)
    defaults: dict[str, Any] = {each.name: each.default for each in dataclasses.fields(recipe)}
    rows = [
        [f"`{name}`", takes(hints[name]), f"`{show(default)}`", said.get(name, "")]
        for name, default in defaults.items()
    ]
    return table(["option", "takes", "default", "meaning"], rows) if rows else "It has no options."


def takes(hint: Any) -> str:
    """Write the values that an option admits."""
    if get_origin(hint) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(hint))
    return {bool: "true or false", int: "whole number", float: "number", str: "text"}[hint]


def meanings(recipe: type) -> dict[str, str]:
    """Return the string under each field, on one line."""
    (owner,) = ast.parse(inspect.cleandoc(inspect.getsource(recipe))).body
    assert isinstance(owner, ast.ClassDef)
    found = {}
    for field, text in zip(owner.body, owner.body[1:], strict=False):
        match field, text:
            case ast.AnnAssign(ast.Name(name)), ast.Expr(ast.Constant(str() as meaning)):
                found[name] = " ".join(meaning.split())
    return found


def cost(name: str) -> str:
    """Write what a layer of a model was measured to cost."""
    long = [row for row in measured("long") if row["model"] == name]
    steps = [row for row in measured("steps") if row["model"] == name]
    if not long + steps:
        return "Not measured: `python -m benchmarks.peers` measures the layers of linear time."
    calls = {"forward": "forward pass", "train": "training step"}
    rows = [
        [f"{calls[row['call']]}, {extent(row, 'length')}", amount(row, "seconds", units.seconds),
         units.memory(float(row["peak_bytes"] or 0) or None)]
        for row in long
    ]  # fmt: skip
    rows += [
        [f"step behind {extent(row, 'context')}", amount(row, "step_s", units.seconds), units.DASH]
        for row in steps
    ]
    first = (long + steps)[0]
    machine = f"{first['cores']} cores ({first['processor']}), torch {first['torch']}"
    where = f"One layer, batch 1, float32, on {machine}; commit {first['commit'][:9]}."
    return f"{table(['call', 'time', 'peak of the process'], rows)}\n\n{where}"


def extent(row: dict[str, str], column: str) -> str:
    """Write how long and how wide the measured sequences were."""
    return f"{units.count(float(row[column]))} positions, width {row['width']}"


def amount(row: dict[str, str], column: str, write: Callable[[float], str]) -> str:
    """Write a figure, or why there is none."""
    return write(float(row[column])) if row[column] else row["reason"]


@cache
def measured(name: str) -> Rows:
    """Read a table of measurements; no rows if nobody made it yet."""
    path = TABLES / f"{name}.csv"
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    escaped = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
