"""How this program bears many records and many runs: the table of decision 0023.

`python -m tools.load` makes records like the published ones, of other seeds, and says seconds and
peak memory of reading them, of reporting them and of planning runs. With `--beside main~1`, that
commit takes turns with the working tree, each in processes of its own, and ratios stand beside.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import median

from msgspec import structs

from harness.core import codec
from harness.core.config import RunSpec
from harness.core.record import Record
from harness.measure.clock import now
from harness.plugins.registry import registry
from harness.results.publish import shipped
from harness.results.store import Store

ROOT = Path(__file__).parents[1]
LIST = "from harness.results.store import Store; print(len(Store({0!r}).records()))"
EACH = """
from harness.results.store import Store
store = Store({0!r})
each = getattr(store, "each", lambda make: [make(record) for record in store.records()])
each(lambda record: record.outcome)
"""
"""Where a commit has no `each`, the list stands in for it."""
TABLE = "from harness import read_records; print(len(read_records({0!r})))"
LOOKS = """
import dataclasses, time
from msgspec import structs
from harness.core.config import Limits
from harness.results.store import Store
store = Store({0!r})
stored, looks, spent = store.records(), {1}, 0.0
first, start = stored[0], 10**6 + len(stored)
del stored
for seed in range(start, start + looks):
    spec = dataclasses.replace(first.spec, seed=seed)
    record = structs.replace(first, spec=spec, run_id=spec.run_id)
    began = time.process_time()
    assert store.finished(record, Limits()) is None
    store.append(record)
    assert store.finished(record, Limits()) is not None
    spent += (time.process_time() - began) * (seed > start)
print(spent / (looks - 1))
"""
"""One more record and two looks for it, in processor seconds; the first look reads the file."""
MORE = """
import tempfile, time
from harness.runner.sweep import Sweep, perform, plan, requests
runs = requests(["synthetic/shift[length=16]"], ["chance"], seeds=range({1}))
sweep = Sweep(runs=runs, results=tempfile.mkdtemp(dir={0!r}), changes=dict(steps=1))
ends = []
for record in perform(sweep, plan(sweep).runs):
    assert record.outcome == "ok", record.reason
    ends.append(time.perf_counter())
print((ends[-1] - ends[0]) / ({1} - 1))
"""
"""Seconds of a run that is not the first."""
CLI = "import sys; sys.argv = ['ssm-bench', *{0!r}]; from harness.cli import main; main()"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    code: Callable[[Path, float], str]
    """Makes records in a folder, a share of all, and says what a process of its own is to run."""
    wanted_s: float
    wanted_mb: float | None = None
    prints: bool = False
    """Whether it says its seconds itself."""


@dataclass(frozen=True)
class Taken:
    """What a process took."""

    seconds: float
    megabytes: float


def like_published(count: int, *, short: bool) -> Iterator[Record]:
    """Yield the published records again and again, each time of another seed; or chance's alone."""
    every = Store(shipped("records") / "v1").records()
    known = [each for each in every if not short or each.model.name == "chance"]
    for number in range(count):
        yield renamed(known[number % len(known)], seed=number)


def tables_of(models: int, tasks: int, seeds: int) -> Iterator[Record]:
    """Yield trainings of as many models on as many tasks: on each, like one that was published."""
    published = Store(shipped("records") / "v1").records()
    known = [each for each in published if each.learned and each.learned.curve]
    names = (list(registry().of("model"))[:models], list(registry().of("task"))[:tasks])
    for model, (place, task), seed in product(names[0], enumerate(names[1]), range(seeds)):
        yield renamed(known[place % len(known)], task=task, model=model, seed=seed)


def renamed(record: Record, *, seed: int, task: str = "", model: str = "") -> Record:
    """Return a record as of another run."""
    spec = replace(record.spec, seed=seed)
    if task:
        spec = RunSpec(task=f"{task}@1", model=f"{model}@1", protocol=spec.protocol, seed=seed)
    label = {"task": spec.task.label, "model": spec.model.label, "path": ""} if task else {}
    return structs.replace(record, spec=spec, run_id=spec.run_id, **label)


def stored(records: Iterator[Record], folder: Path, name: str = "") -> str:
    """Write records without waiting for the disk, all to one file if it has a name."""
    files = ExitStack()
    opened = {}
    with files:
        for record in records:
            path = folder / name if name else Store(folder).path(record.spec)
            if path not in opened:
                path.parent.mkdir(parents=True, exist_ok=True)
                opened[path] = files.enter_context(path.open("wb"))
            opened[path].write(codec.encode(record) + b"\n")
    return str(folder)


def part(count: int, share: float) -> int:
    """Return how many of so many are a share."""
    return max(round(share * count), 2)


def looks(folder: Path, share: float) -> str:
    """Say how to add to ten thousand records in one file."""
    one = next(tables_of(1, 1, 1))
    same = (renamed(one, seed=seed) for seed in range(part(10_000, share)))
    return LOOKS.format(stored(same, folder), 6)


def running(folder: Path, share: float) -> str:
    """Say how to do fifty runs of chance."""
    return MORE.format(str(folder), part(50, share))


def reading(code: str, *, short: bool = False) -> Callable[[Path, float], str]:
    """Return what says how to read a hundred thousand records."""

    def words(folder: Path, share: float) -> str:
        return code.format(stored(like_published(part(100_000, share), short=short), folder))

    return words


def reporting(folder: Path, share: float) -> str:
    """Say how to report 20 models on 33 tasks."""
    drawn = stored(tables_of(20, 33, part(3, share)), folder / "records")
    return CLI.format(["report", "--results", drawn, "--out", str(folder / "report")])


def planning(seeds: int) -> Callable[[Path, float], str]:
    """Return what says how to plan ten models on ten tasks."""
    named = [list(registry().of(kind)) for kind in ("model", "task")]
    models = [word for name in named[0][:10] for word in ("-m", name)]
    tasks = [name for name in named[1] if name.startswith(("synthetic/", "retrieval/"))][:10]

    def words(folder: Path, share: float) -> str:
        count = str(max(round(share * seeds), 1))
        return CLI.format(
            ["run", *tasks, *models, "--seeds", count, "--dry-run", "--results", str(folder)]
        )

    return words


ROWS = (
    Row("one more run of chance", running, 0.1, prints=True),
    Row("one more of 10,000 records, and two looks", looks, 0.001, prints=True),
    Row("list of 100,000 records", reading(LIST), 5.0, 500),
    Row("list of 100,000 records of chance", reading(LIST, short=True), 5.0, 500),
    Row("each of 100,000 records", reading(EACH), 5.0, 500),
    Row("table of 100,000 records", reading(TABLE), 8.0, 700),
    Row("report of 1,980 records", reporting, 15.0),
    Row("dry run of 100", planning(1), 3.0),
    Row("dry run of 10,000", planning(100), 10.0),
)


def taken(row: Row, code: str, tree: Path) -> Taken:
    """Run a row's code in a process of its own, with the project as it stands in a tree."""
    env = {**os.environ, "PYTHONPATH": str(tree)}
    began = now()
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", code], cwd=tree, env=env, stdout=subprocess.PIPE, text=True
    )
    with child:
        said = child.stdout.read() if child.stdout else ""
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{row.name} ended with {child.returncode} in {tree}.")
    return Taken(float(said) if row.prints else now() - began, usage.ru_maxrss / 1024)


@contextmanager
def worktree(revision: str) -> Iterator[Path]:
    """Check another commit out beside this one, for as long as it is needed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--detach", path, revision], check=True, capture_output=True)
        try:
            yield path
        finally:
            subprocess.run([*git, "remove", "--force", path], check=True)


def line(row: Row, before: Sequence[Taken], after: Sequence[Taken]) -> dict[str, object]:
    """Return a line of the table: medians, and how much of before is left."""
    figures: dict[str, object] = {"what": row.name}
    for name, found in (("before", before), ("after", after)):
        if found:
            figures[f"{name}_s"] = round(median(each.seconds for each in found), 4)
            figures[f"{name}_mb"] = round(max(each.megabytes for each in found))
    if before:
        seconds = (median(each.seconds for each in found) for found in (after, before))
        figures["ratio"] = round(next(seconds) / next(seconds), 3)
    return {**figures, "wanted_s": row.wanted_s, "wanted_mb": row.wanted_mb}


def main() -> None:
    """Print a line of JSON a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beside", help="a commit that takes turns with the working tree")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--share", type=float, default=1.0, help="of the records and runs")
    parser.add_argument("--only", default="", help="rows whose names hold this")
    given = parser.parse_args()
    with worktree(given.beside) if given.beside else nullcontext() as other:
        for row in ROWS:
            if given.only not in row.name:
                continue
            with tempfile.TemporaryDirectory() as folder:
                code = row.code(Path(folder), given.share)
                before, after = list[Taken](), list[Taken]()
                for _ in range(given.turns):
                    before += [taken(row, code, other)] if other else []
                    after.append(taken(row, code, ROOT))
            sys.stdout.write(json.dumps(line(row, before, after)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
