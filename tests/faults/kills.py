"""Sweeps that share a folder and are killed at random: in the end every run is there, once.

Two sweeps of the same runs begin over one folder. After a random time a worker, a sweep, or both
sweeps with their workers are killed by a signal that none can heed; then both begin anew, until
all is stored. `python -P -m tests.faults.kills --rounds 100` kills so often, in one folder after
the other, and says what was expected, found, doubled and left behind. What a run left that was
killed, a record that says so, is no double of the record of the try that came after it.
"""

import argparse
import random
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path

import psutil
from typer.main import get_command

from harness.cli import app
from harness.results.journal import decoded
from harness.results.store import SETTLED, Store

TASK = "synthetic/shift[length=16,shifts=2]"
MODELS = ("chance", "s4d", "gru")
SEEDS = 3
PROTOCOL = "steps=400,batch=8,width=8,depth=1,evaluations=4"
WISHES = ("--jobs", "2"), ("--checkpoint", "1s")
"""Options that a sweep is given if it knows them."""
LONGEST_S = 12.0
"""The longest time before a kill."""
PATIENCE_S = 15.0
"""In which what was started by a killed process must be gone."""
MARK = "SSM_BENCH_KILLS"


@dataclass
class Count:
    """What became of all rounds."""

    kills: int = 0
    expected: int = 0
    found: int = 0
    """Runs with a record that stands."""
    doubled: int = 0
    """Records that stand beside another of the same run."""
    faults: int = 0
    """Lines that cannot be read."""
    left: int = 0
    """Processes that outlived a round, or files beside the records when all was over."""
    leases: int = 0
    """Leases of dead sweeps, which nobody heeds."""
    names: list[str] = field(default_factory=list)
    """What was left behind is called."""

    def __str__(self) -> str:
        return ", ".join(f"{each.name} {getattr(self, each.name)}" for each in fields(self))

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled or left."""
        return self.expected == self.found and not (self.doubled or self.faults or self.left)


def command(folder: Path) -> list[str]:
    """Return a sweep's command, with the wishes that it knows."""
    known = {each for parameter in run_parameters() for each in parameter.opts}
    words = [sys.executable, "-P", "-m", "harness.cli", "run", TASK, "--seeds", str(SEEDS)]
    words += [word for model in MODELS for word in ("-m", model)]
    words += ["--protocol", PROTOCOL, "--results", str(folder)]
    return words + [word for wish in WISHES if wish[0] in known for word in wish]


def run_parameters() -> list:
    """Return the options of the verb `run`."""
    return get_command(app).commands["run"].params  # type: ignore[attr-defined]


@contextmanager
def sweeps(folder: Path, mark: str, count: int) -> Iterator[list[psutil.Process]]:
    """Start sweeps, marked as all that they start will be; end what is left of them."""
    environment = {**psutil.Process().environ(), MARK: mark}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = [subprocess.Popen(command(folder), env=environment, **quiet) for _ in range(count)]
    try:
        yield [psutil.Process(each.pid) for each in started]
    finally:
        for each in started:
            each.kill()
            each.wait()


def marked(mark: str) -> list[psutil.Process]:
    """Return the processes that stem from sweeps with a mark."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def kill(victims: list[psutil.Process], rng: random.Random) -> None:
    """Kill a worker, a sweep, or all."""
    with suppress(psutil.Error):
        sweep = rng.choice(victims)
        workers = sweep.children(recursive=True)
        match rng.randrange(3):
            case 0 if workers:
                chosen = [rng.choice(workers)]
            case 1:
                chosen = [sweep]
            case _:
                chosen = [each for one in victims for each in (one, *one.children(recursive=True))]
        for each in chosen:
            with suppress(psutil.NoSuchProcess):
                each.kill()


def outlived(mark: str) -> list[str]:
    """Wait until nothing with a mark is left; end what stays, and return what it was."""
    deadline = time.monotonic() + PATIENCE_S
    while (left := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    names = []
    for each in left:
        with suppress(psutil.NoSuchProcess):
            names.append(" ".join(each.cmdline()))
            each.kill()
    return names


def standing(folder: Path) -> Counter[str]:
    """Return how many records of each run stand."""
    found: Counter[str] = Counter()
    for line in b"".join(path.read_bytes() for path in folder.rglob("*.jsonl")).splitlines():
        with suppress(ValueError):  # torn, or counted among the faults
            record = decoded(line)
            found[record.run_id] += record.outcome in SETTLED
    return +found


def game(folder: Path, kills: int, rng: random.Random, total: Count) -> None:
    """Kill sweeps over a folder so often, or until all is stored; then let one end, and count."""
    wanted, mark = len(MODELS) * SEEDS, secrets.token_hex(8)
    for _ in range(kills):
        if len(standing(folder)) == wanted:
            break
        with sweeps(folder, mark, 2) as victims:
            time.sleep(rng.uniform(0.2, LONGEST_S))
            kill(victims, rng)
            total.kills += 1
            time.sleep(rng.uniform(0.0, 2.0))
        left = outlived(mark)
        total.left += len(left)
        total.names += left
    subprocess.run(command(folder), capture_output=True, check=True, timeout=600)
    found = standing(folder)
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".jsonl"]
    beside = [path for path in files if path.parent.name != ".leases"]
    total.expected += wanted
    total.found += len(found)
    total.doubled += found.total() - len(found)
    total.faults += len(Store(folder).faults())
    total.left += len(beside)
    total.leases += sum(path not in beside and path.name in found for path in files)
    total.names += [path.name for path in beside]


def campaign(rounds: int, seed: int, folder: Path) -> Count:
    """Kill so often, in as many folders as it takes."""
    rng, total = random.Random(seed), Count()
    number = 0
    while total.kills < rounds:
        game(folder / str(number), min(10, rounds - total.kills), rng, total)
        number += 1
        print(total, flush=True)  # noqa: T201
    return total


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        sys.exit(not campaign(asked.rounds, asked.seed, Path(made)).clean)
