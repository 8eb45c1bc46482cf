"""The command line of `python -m benchmarks.peers`."""

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from rich.console import Console
from rich.progress import track

from harness.plugins.registry import registry

from . import parent
from .ask import Ask, Bounds
from .figures import pictures
from .rows import Line
from .store import Store
from .tables import Row, all_rows, as_csv, for_terminal, limit_line, with_earlier

KEPT = parent.ROOT / ".benchmarks" / "peers.jsonl"
TABLES = parent.ROOT / "results" / "tables" / "v1"
QUICK = parent.ROOT / ".benchmarks" / "peers-quick"
WIDE = 150
"""Columns that the tables need."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for and write tables and figures.

    Returns:
        0; 1 if a model cannot be built; 2 if no row has the name that was asked for.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--only", metavar="ROW", help="such as peers/s4d, 'long/*', steps/mamba")
    parser.add_argument("--quick", action="store_true", help="small sizes: see that it runs")
    parser.add_argument("--out", type=Path, help="folder of the tables (results/tables/v1)")
    parser.add_argument("--kept", type=Path, default=KEPT, help="file of single measurements")
    parser.add_argument("--budget", type=float, default=60, help="seconds of calls a measurement")
    parser.add_argument("--timeout", type=float, default=900, help="seconds a process may take")
    parser.add_argument("--memory", type=float, default=12, help="GiB that a process may take")
    child = parser.add_mutually_exclusive_group()
    child.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    child.add_argument("--traits", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.answer or given.traits:
        return serve(traits=given.traits)
    # Which models are asked for is known only from themselves, and they take seconds to build.
    models = {} if given.only and given.only.startswith("peers/") else parent.traits()
    if isinstance(models, str):
        sys.stderr.write(f"The models cannot be asked. {models}\n")
        return 1
    rows = all_rows(models, quick=given.quick)
    chosen = {
        table: [row for row in several if fnmatch(f"{table}/{row.name}", given.only or "*")]
        for table, several in rows.items()
    }
    if not any(chosen.values()):
        known = ", ".join(f"{table}/{row.name}" for table in rows for row in rows[table])
        sys.stderr.write(f"No row is called {given.only!r}. Known: {known}.\n")
        return 2
    bounds = Bounds(
        budget_s=given.budget,
        timeout_s=given.timeout,
        memory_bytes=int(given.memory * 2**30),
    )
    store = Store(given.kept)
    measure([row for several in chosen.values() for row in several], bounds, store)
    touched = {table: rows[table] for table, several in chosen.items() if several}
    write(touched, store, given.out or (QUICK if given.quick else TABLES))
    show(chosen, store)
    return 0


def serve(*, traits: bool) -> int:
    """Be the child: answer what stands in the standard input, with torch loaded here only."""
    if traits:
        sides = importlib.import_module("tools.peers.sides")
        found = {name: sides.traits(name) for name in registry().of("model")}
        sys.stdout.write(json.dumps(found) + "\n")
        return 0
    worker = importlib.import_module("tools.peers.worker")
    sys.stdout.write(worker.answer(sys.stdin.buffer.read()).decode() + "\n")
    return 0


def measure(rows: Sequence[Row], bounds: Bounds, store: Store) -> None:
    """Measure what the store does not know for this code."""
    asks: dict[Ask, None] = dict.fromkeys(ask for row in rows for ask in row.asks())
    open_asks = [ask for ask in asks if not settled(ask, store)]
    console = Console(stderr=True)
    console.print(f"{len(open_asks)} measurements, {len(asks) - len(open_asks)} known.")
    for ask in track(open_asks, "measuring", console=console):
        parent.measure(ask, bounds, store)


def settled(ask: Ask, store: Store) -> bool:
    """Return whether a measurement need not be made again."""
    return ask in store.answers and store.answers[ask].settled()


def write(rows: dict[str, list[Row]], store: Store, out: Path) -> None:
    """Write tables and their figures; rows that were never measured stay as a table has them."""
    (out / "figures").mkdir(parents=True, exist_ok=True)
    tables = {
        table: with_earlier(table, lines(several, store), out / f"{table}.csv")
        for table, several in rows.items()
    }
    for table, found in tables.items():
        (out / f"{table}.csv").write_text(as_csv(table, found), encoding="utf-8")
    for picture in pictures(tables):
        (out / "figures" / f"{picture.name}.png").write_bytes(picture.png)
        (out / "figures" / f"{picture.name}.svg").write_bytes(picture.svg)


def show(rows: dict[str, list[Row]], store: Store) -> None:
    """Print rows with every ratio beside the wanted one, and the machine's limit under them."""
    console = Console()
    console.width = max(console.width, WIDE)
    for table, several in rows.items():
        if several:
            console.print(for_terminal(table, lines(several, store)))
    if rows["peers"]:
        console.print(limit_line(lines(rows["peers"], store)))


def lines(rows: Sequence[Row], store: Store) -> list[Line]:
    """Return the lines of some rows of a table."""
    return [line for row in rows for line in row.lines(store.answers.get)]
