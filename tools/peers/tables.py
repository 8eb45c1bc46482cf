"""The three tables: their rows at full or small size, their CSV, and their lines for a terminal."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from rich.table import Table

from harness.report import units

from .rows import UNMEASURED, Line, Long, Pair, Step

Row = Pair | Long | Step
PAIRS = (
    Pair(
        name="s4d", what="s4d layer", peer="two-line kernel",
        sides=("layer:s4d[state=64]", "peer:textbook-s4d"), length=16_384,
        faster={"train": 40}, lighter={"train": 10},
    ),
    Pair(
        name="s4", what="s4 layer", peer="Cauchy kernel",
        sides=("layer:s4[state=64]", "peer:cauchy-s4"), length=16_384, faster={"train": 10},
    ),
    Pair(
        name="mamba-mambapy", what="mamba block", peer="mambapy", package="mambapy",
        sides=("layer:mamba[state=16]", "peer:mambapy"), length=16_384,
        faster={"train": 15}, lighter={"train": 5},
    ),
    Pair(
        name="mamba-transformers", what="mamba block", peer="transformers", package="transformers",
        sides=("layer:mamba[state=16]", "peer:transformers"), length=1024, faster={"train": 50},
    ),
    Pair(
        name="mamba2", what="mamba2 block", peer="transformers", package="transformers",
        sides=("layer:mamba2[state=64]", "peer:mamba2-transformers"), length=4096,
    ),
    Pair(
        name="gated-deltanet", what="gated-deltanet block", peer="transformers",
        package="transformers", sides=("layer:gated-deltanet", "peer:qwen3-next"), length=4096,
    ),
    Pair(
        name="selective-scan", what="selective scan", peer="torch's exp",
        sides=("peer:selective-scan", "peer:exp"), length=65_536, calls=("forward",),
        faster={"forward": 1}, unweighed="exp writes into memory that it was given.",
    ),
    Pair(
        name="s5", what="s5 layer", peer="s5-pytorch", package="s5-pytorch",
        sides=("layer:s5[state=64]", "peer:s5-pytorch"), length=65_536, faster={"train": 3},
    ),
)  # fmt: skip
LENGTHS, CONTEXTS, STEP_WIDTH = (65_536, 262_144), (1024, 65_536), 1024
QUICK_LENGTH, QUICK_LENGTHS, QUICK_CONTEXTS, QUICK_WIDTH = 256, (256, 1024), (16, 64), 64
CEILINGS = {"matmul_flop_per_s": "FLOP/s", "exp_per_s": "exp/s", "copy_bytes_per_s": "B/s copied"}
PLACE = ("processor", "cores", "torch", "commit", "dirty", "load", "measured")
COLUMNS = {
    "peers": (
        "row", "ours", "peer", "call", "length", "width", "ours_s", "ours_precision", "peer_s",
        "peer_precision", "times_faster", "wanted_faster", "ours_bytes", "peer_bytes",
        "times_lighter", "wanted_lighter", "path", "reason", *CEILINGS, *PLACE,
    ),
    "long": (
        "model", "call", "length", "width", "seconds", "precision", "peak_bytes", "delta_bytes",
        "times_longer", "wanted_longer", "wanted_bytes", "path", "reason", *PLACE,
    ),
    "steps": (
        "model", "context", "width", "step_s", "precision", "products_s", "times_products",
        "wanted_products", "times_longer", "wanted_longer", "path", "reason", *PLACE,
    ),
}  # fmt: skip
KEYS = {
    "peers": ("row", "call", "length"),
    "long": ("model", "call", "length"),
    "steps": ("model", "context"),
}
"""What a line of each table is about."""


def all_rows(traits: Mapping[str, Mapping[str, bool]], *, quick: bool) -> dict[str, list[Row]]:
    """Return the rows of each table.

    Args:
        traits: What every model says of itself.
        quick: Make them small, to see that everything runs.
    """
    pairs = [replace(pair, length=QUICK_LENGTH) for pair in PAIRS] if quick else list(PAIRS)
    lengths = QUICK_LENGTHS if quick else LENGTHS
    contexts, width = (QUICK_CONTEXTS, QUICK_WIDTH) if quick else (CONTEXTS, STEP_WIDTH)
    linear = [name for name, has in traits.items() if has["layer"] and has["bounded"]]
    return {
        "peers": [*pairs],
        "long": [Long(model=name, lengths=lengths) for name in linear],
        "steps": [
            Step(model=name, width=width, lengths=contexts, bounded=has["bounded"])
            for name, has in traits.items()
            if has["steps"]
        ],
    }


def as_csv(table: str, lines: Iterable[Line]) -> str:
    """Write a table, unrounded."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS[table], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def with_earlier(table: str, lines: Iterable[Line], path: Path) -> list[Line]:
    """Return the lines, those that were not measured as a file has them, if it has them."""
    if not path.exists():
        return list(lines)

    def about(line: Line) -> tuple[object, ...]:
        return tuple(line[key] for key in KEYS[table])

    with path.open(encoding="utf-8", newline="") as file:
        kept = [{key: value_of(text) for key, text in row.items()} for row in csv.DictReader(file)]
    earlier = {about(line): line for line in kept}
    return [
        earlier.get(about(line), line) if line["reason"] == UNMEASURED.reason else line
        for line in lines
    ]


def value_of(text: str) -> int | float | str | None:
    """Read a cell: nothing where it is empty, a number where it is one."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text or None


def for_terminal(table: str, lines: Sequence[Line]) -> Table:
    """Write a table's figures beside what is wanted of them."""
    title = {"peers": "Beside peers", "long": "Four times as long", "steps": "One step"}[table]
    heads, write = {
        "peers": (("", "call", "length", "ours", "peer", "faster", "lighter"), pair_cells),
        "long": (("model", "call", "length", "time", "peak", "times as long"), long_cells),
        "steps": (("model", "context", "step", "times its products", "grows"), step_cells),
    }[table]
    shown = Table(title=title, title_justify="left", box=None)
    for place, head in enumerate(heads):
        shown.add_column(head, justify="left" if place < 2 else "right", overflow="fold")
    for line in lines:
        shown.add_row(*write(line))
    return shown


def pair_cells(line: Line) -> list[str]:
    """Return what the terminal shows of a comparison."""
    return [
        f"{line['ours']} / {line['peer']}",
        line["call"],
        f"{line['length']:,}",
        units.seconds(line["ours_s"]),
        units.seconds(line["peer_s"]) if line["peer_s"] else line["reason"] or units.DASH,
        beside(line["times_faster"], line["wanted_faster"], least=True),
        beside(line["times_lighter"], line["wanted_lighter"], least=True),
    ]


def long_cells(line: Line) -> list[str]:
    """Return what the terminal shows of a long sequence."""
    heavy = (
        line["wanted_bytes"] and line["peak_bytes"] and line["peak_bytes"] > line["wanted_bytes"]
    )
    return [
        line["model"],
        line["call"],
        f"{line['length']:,}",
        units.seconds(line["seconds"]) if line["seconds"] else line["reason"],
        units.memory(line["peak_bytes"]) + (" (too much)" if heavy else ""),
        beside(line["times_longer"], line["wanted_longer"], least=False),
    ]


def step_cells(line: Line) -> list[str]:
    """Return what the terminal shows of a step."""
    return [
        line["model"],
        f"{line['context']:,}",
        units.seconds(line["step_s"]) if line["step_s"] else line["reason"],
        beside(line["times_products"], line["wanted_products"], least=False),
        beside(line["times_longer"], line["wanted_longer"], least=False),
    ]


def beside(found: float | None, wanted: float | None, *, least: bool) -> str:
    """Write a ratio beside the wanted one, with a mark where it falls short."""
    if found is None:
        return units.DASH
    if wanted is None:
        return f"{units.digits(found)}x"
    met = found >= wanted if least else found <= wanted
    sign = ">=" if least else "<="
    return f"{units.digits(found)}x ({sign} {wanted:g}{'' if met else ', MISSED'})"


def limit_line(lines: Iterable[Line]) -> str:
    """Write what the machine did at most, beside these rows."""
    found = [line for line in lines if line.get("exp_per_s")]
    if not found:
        return "limit: not measured"
    best = {name: max(line[name] for line in found) for name in CEILINGS}
    return "limit: " + ", ".join(f"{units.scaled(best[k])} {unit}" for k, unit in CEILINGS.items())
