"""Old against new: what a layer costs where memory is kept and threads spin for a moment only.

`until python -m tools.kept_memory; do :; done` measures every model at 65,536 positions, and some
at other lengths, and leaves a table. A call measures for about a minute, ends with 1 while rows are
missing, and goes on where the last one stopped. Old and new take turns, each twice in a process of
its own, and the better median counts. What has no layer or takes too long
has a row without figures.
"""

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from statistics import median

from harness.measure import allocator, memory
from harness.measure.clock import now, sample
from harness.measure.machine import pinned_environment
from harness.plugins.registry import registry

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "results" / "tables" / "v1" / "kept_memory.csv"
LONG, LENGTHS = 65_536, (1_024, 4_096, 16_384, 262_144)
SOME = ("hawk", "lru", "mamba", "s4d", "s5")
CALLS = ("train", "forward")
TURNS = ("old", "new") * 2
BUDGET_S, TIMEOUT_S = 1.5, 45.0
"""Seconds of calls in a process, and seconds that it may take in all."""
FIGURES = ("ms", "process_peak_mb", "weighed_mb")
KEYS = ("model", "call", "length")
COLUMNS = (*KEYS, *(f"{side}_{figure}" for figure in FIGURES for side in ("old", "new")), "ratio")

Key = tuple[str, str, int]


def wanted() -> Iterator[Key]:
    """Yield every row: the model, the call and the length, in the order of the table."""
    every = list(registry().of("model"))
    for call in CALLS:
        yield from product(every, (call,), (LONG,))
        yield from product(SOME, (call,), LENGTHS)


def measured(key: Key, turn: str) -> dict[str, float]:
    """Measure in this process: milliseconds of a call, what the process took at most, the peak."""
    from tools.peers.ask import Ask  # noqa: PLC0415 - torch is a child's
    from tools.peers.sides import built  # noqa: PLC0415 - the same

    if turn == "new":
        allocator.keep()
    model, call, length = key
    side = f"layer:{model}"
    ask = Ask(
        mode="both", sides=(side,), call="train" if call == "train" else "forward", length=length
    )
    case = built(side, ask)
    (timed,) = sample(case.call, settle_s=BUDGET_S, budget_s=BUDGET_S)
    process_peak = memory.status_bytes("VmHWM")
    figures = (
        median(timed.seconds) * 1e3,
        process_peak / 1e6,
        memory.peak(case.call).delta_bytes / 1e6,
    )
    return dict(zip(FIGURES, figures, strict=True))


def child(key: Key, turn: str) -> dict[str, float]:
    """Measure in a process of its own; nothing if it fails or takes too long."""
    env = pinned_environment()
    if turn == "old":
        env.pop("GOMP_SPINCOUNT", None)
    words = [sys.executable, "-m", "tools.kept_memory", "--child", json.dumps([key, turn])]
    try:
        done = subprocess.run(
            words, cwd=ROOT, env=env, capture_output=True, check=True, timeout=TIMEOUT_S
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        return {}
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def row(key: Key) -> dict[str, object]:
    """Measure a row, the sides in turns."""
    found: dict[str, list[dict[str, float]]] = {"old": [], "new": []}
    for turn in TURNS:
        figures = child(key, turn)
        if not figures:
            return dict(zip(KEYS, key, strict=True))
        found[turn].append(figures)
    best = {side: min(tries, key=lambda each: each["ms"]) for side, tries in found.items()}
    written = {
        f"{side}_{name}": f"{figures[name]:.4g}"
        for side, figures in best.items()
        for name in FIGURES
    }
    ratio = best["old"]["ms"] / best["new"]["ms"]
    return {**dict(zip(KEYS, key, strict=True)), **written, "ratio": f"{ratio:.2f}"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the table lacks, for a while.

    Returns:
        0 if the table is whole, 1 if rows are missing.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=TABLE, help="the table (%(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="after which no row is begun")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.child:
        (model, call, length), turn = json.loads(given.child)
        sys.stdout.write(json.dumps(measured((model, call, length), turn)) + "\n")
        return 0
    began, known = now(), rows_of(given.out)
    left = [key for key in wanted() if key not in known]
    while left and now() - began < given.seconds:
        add(given.out, row(left.pop(0)))
    return 1 if left else 0


def rows_of(table: Path) -> set[Key]:
    """Return which rows a table has."""
    if not table.exists():
        return set()
    with table.open(encoding="utf-8", newline="") as file:
        return {(each["model"], each["call"], int(each["length"])) for each in csv.DictReader(file)}


def add(table: Path, line: dict[str, object]) -> None:
    """Add a row to a table, and say it."""
    new = not table.exists()
    with table.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(line)
    sys.stdout.write(" ".join(map(str, line.values())) + "\n")


if __name__ == "__main__":
    sys.exit(main())
