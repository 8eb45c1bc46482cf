"""Inputs that nobody wrote in earnest, for everything here that reads bytes or words.

Real inputs with bytes changed, cut, doubled, moved and joined, a place at a time or many. Whatever
reads them may take them, or refuse them in one sentence; another exception, or an answer that takes
longer than `PATIENCE_S`, is a finding. `python -P -m tests.faults.hostile_inputs` feeds a million
and tells how many each reader had.
"""

import argparse
import io
import itertools
import os
import random
import resource
import signal
import struct
import sys
import tarfile
import tempfile
import traceback
import warnings
import wave
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from gzip import compress
from pathlib import Path
from unittest import mock

from harness import cli
from harness.cli.runs import parse_bytes, parse_seconds
from harness.core import codec
from harness.core.config import Protocol, RunSpec, Selector, parse_options
from harness.core.errors import SpecError
from harness.core.grid import parse_grid, parse_match, settled
from harness.core.messages import Event, Plan, Progress
from harness.core.seeds import parse_seeds
from harness.data.archives import members
from harness.plugins.registry import registry
from harness.results.claims import papers, parse_claim
from harness.results.gate import parse_allowances
from harness.results.journal import TornLineWarning, decoded
from harness.results.published import published_costs, published_figures
from harness.results.store import Store
from suites.images._digits import idx
from suites.lra._pairs import pairs
from suites.signals._ts import cases
from suites.speech._commands import samples

ROOT = Path(__file__).parents[2]
PATIENCE_S = 10
"""Seconds of the processor that an answer may take."""
WAITING = 12
"""How many times as long it may take by the clock: a busy machine does other things meanwhile."""
MEMORY = 8 << 30
"""Bytes of address space that all of it may take, torch's libraries among them."""
MOST = 1 << 16
"""Bytes of an input, but for those that a reader unpacks."""
NUMBERS = (
    b"0", b"-1", b"1e999", b"nan", b"9" * 400, str(2**63).encode(), b"1_0", b"0x1",
    b"\xd9\xa1", b"\xff\xff\xff\x7f",
)  # fmt: skip
ODD = (
    b"", b"\0", b"\n", b"\r\n", b"\t", b"\xff\xfe", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80",
    b"null", b"true", b"[]", b"{}", b'""', b"[" * 2000, b'{"a":' * 2000, b"a" * 5000, b"-" * 5000,
    b"../..", b"/etc/passwd", b"C:\\", b"%s%n", b"{0.__class__}", b"$(id)", b"'\"`", b"=1+1",
    b"<img>", b"\x1b[2J",
)  # fmt: skip


class HungError(BaseException):
    """A reader has not answered in time; nothing that it raises or catches is in its stead."""


@dataclass(frozen=True)
class Reader:
    """Something that reads what others wrote."""

    name: str
    share: int
    """Of how many inputs in all it gets."""
    seeds: tuple[bytes, ...]
    """Real inputs."""
    read: Callable[[bytes, Path], object]
    """Takes the input, and a folder of its own to write it to."""
    answers: tuple[type[BaseException], ...] = (SpecError,)
    """What it raises in earnest, with its sentence."""
    words: tuple[bytes, ...] = ()
    """What stands in its inputs, to be put anywhere."""


def mutated(rng: random.Random, reader: Reader) -> bytes:
    """Change a real input in one place or several."""
    made = bytearray(rng.choice(reader.seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5, 10))):
        start = rng.randrange(len(made) + 1)
        end = min(len(made), start + rng.choice((0, 1, 1, 2, 4, 16, 256)))
        match rng.randrange(7):
            case 0:
                made[start:end] = rng.choice((*ODD, *NUMBERS, *reader.words))
            case 1:
                made[start:end] = rng.randbytes(end - start)
            case 2 if start < len(made):
                made[start] ^= 1 << rng.randrange(8)
            case 3:
                del made[start:end]
            case 4:
                made[start:start] = made[start:end] * rng.choice((1, 2, 50))
            case 5:
                other = rng.choice(reader.seeds)
                place = rng.randrange(len(other) + 1)
                made[start:end] = other[place : place + rng.choice((1, 8, 64, len(other)))]
            case _:
                del made[start if rng.random() < 0.2 else len(made) :]
    return bytes(made[:MOST])


@contextmanager
def in_time() -> Iterator[None]:
    """End whatever does not answer, if the main thread asks."""

    def late(*_: object) -> None:
        raise HungError(f"no answer in {PATIENCE_S} s")

    timers = (
        (signal.ITIMER_PROF, signal.SIGPROF, PATIENCE_S),
        (signal.ITIMER_REAL, signal.SIGALRM, WAITING * PATIENCE_S),
    )
    before = [signal.signal(signum, late) for _, signum, _ in timers]
    for timer, _, seconds in timers:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for (timer, signum, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(signum, handler)


def fed(reader: Reader, given: bytes, folder: Path) -> str:
    """Let a reader read; return the traceback of a finding, empty if there is none."""
    try:
        with in_time():
            reader.read(given, folder)
    except reader.answers as error:
        said = str(error)
        return "" if said and len(said) < 6000 else f"a sentence of {len(said)} characters"
    except (Exception, SystemExit, HungError) as error:
        return "".join(traceback.format_exception(error, limit=-6, chain=False))
    return ""


def findings(reader: Reader, count: int, seed: int, folder: Path) -> Iterator[tuple[bytes, str]]:
    """Feed a reader so many inputs, and yield those that are findings, with their tracebacks."""
    rng = random.Random(f"{reader.name} {seed}")
    for given in itertools.chain(reader.seeds, (mutated(rng, reader) for _ in range(count))):
        if why := fed(reader, given, folder):
            yield given, why


def text(given: bytes) -> str:
    """Return bytes as the command line gets them."""
    return os.fsdecode(given)


def filed(given: bytes, path: Path) -> Path:
    """Write an input where a reader looks for it."""
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(given)
    return path


def read_wav(given: bytes, folder: Path) -> None:
    """Read all samples."""
    with filed(given, folder / "a.wav").open("rb") as file:
        samples("a.wav", file)


def read_store(given: bytes, folder: Path) -> None:
    """Read a folder whose file of records is an input, tell its faults, and find a run in it."""
    path = folder / "store" / "synthetic" / "shift" / "s4d.jsonl"
    filed(given, path)
    store = Store(folder / "store")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TornLineWarning)
        found, _ = store.records(), list(map(str, store.faults()))
    for record in found:
        store.finished(record, record.limits)


def read_archive(given: bytes, folder: Path) -> None:
    """Read all members."""
    for _, file in members(filed(given, folder / "archive")):
        while file.read(1 << 16):
            pass


def read_published(given: bytes, folder: Path) -> None:
    """Read an input as a table of scores and as one of costs."""
    try:
        published_figures(filed(given, folder / "published" / "a.csv").parent)
    finally:
        (folder / "published" / "a.csv").rename(folder / "costs.csv")
    published_costs(filed(given, folder / "of_costs" / "costs" / "a.csv").parents[1])


def read_ts(given: bytes, folder: Path) -> None:
    """Read all windows."""
    for _ in cases(filed(given, folder / "a.ts"), 2, 3):
        pass


def read_pairs(given: bytes, folder: Path) -> None:
    """Read all lines of a table of pairs."""
    for _ in pairs(filed(given, folder / "new_aan_pairs.train.tsv"), "new_aan_pairs.train.tsv"):
        pass


def read_seconds_and_bytes(given: bytes, _: Path) -> None:
    """Read what limits are written as."""
    with suppress(SpecError):
        parse_seconds(text(given))
    parse_bytes(text(given))


def read_options(given: bytes, _: Path) -> None:
    """Change a protocol, sweep and match."""
    with suppress(SpecError):
        settled(Protocol().changed({"sweep": text(given)}))
    with suppress(SpecError):
        parse_grid(text(given))
    with suppress(SpecError):
        parse_match(text(given))
    with suppress(SpecError):
        parse_allowances(text(given))
    settled(Protocol().changed(parse_options(text(given))))


def read_name(given: bytes, _: Path) -> None:
    """Look a name up, and make a run of it whose name can be written and read."""
    selector = Selector(text(given))
    assert Selector(str(selector)) == selector
    spec = RunSpec(task="synthetic/shift", model=selector, protocol=Protocol())
    assert codec.convert(codec.builtins(spec), RunSpec) == spec
    registry().match("model", text(given))


def read_command(given: bytes, folder: Path) -> None:
    """Run a command line, words being divided by zeros, and look at how it ends.

    No child is started: what would be planned is nothing.
    """
    said, here = io.TextIOWrapper(io.BytesIO(), "utf-8", "replace"), Path.cwd()
    words = [text(word) for word in given.split(b"\0")]
    nothing = mock.patch("harness.runner.planner.planned", return_value=Plan())
    argv = mock.patch.object(sys, "argv", ["ssm-bench", *words])
    os.chdir(folder)
    try:
        with nothing, argv, redirect_stdout(said), redirect_stderr(said):
            cli.main()
    except SystemExit as ended:
        if ended.code not in {0, 1, 2, 3}:
            raise
    finally:
        os.chdir(here)


def first_lines(folder: str, pattern: str, count: int) -> list[bytes]:
    """Return the first lines of the first of our files in a folder."""
    path = min((ROOT / folder).glob(pattern))
    return path.read_bytes().splitlines(keepends=True)[:count]


def tars() -> Iterator[bytes]:
    """Yield archives of small files, plain and packed."""
    files = {"set/a.txt": b"first", "set/" + "long" * 30: b"second" * 200, "ünï": b""}
    for mode, form in itertools.product(("w", "w:gz"), (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode=mode, format=form) as archive:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size, info.pax_headers = len(content), {"comment": "x", "mtime": "1.5"}
                archive.addfile(info, io.BytesIO(content))
        yield out.getvalue()
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as packed:
            for name, content in files.items():
                packed.writestr(name, content)
        yield out.getvalue()


def sound() -> bytes:
    """Return a wav file of eight samples."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16_000, 8, "NONE", ""))
        file.writeframes(bytes(range(16)))
    return out.getvalue()


def digits() -> Iterator[bytes]:
    """Yield packed files of bytes with one axis and with three."""
    for sizes in ((4,), (2, 2, 2)):
        head = bytes((0, 0, 8, len(sizes))) + struct.pack(f">{len(sizes)}i", *sizes)
        yield compress(head + bytes(range(8)), 1)
        yield compress(head + bytes(4), 1)


def idx_unpacked(given: bytes, folder: Path) -> None:
    """Read an idx file, whose sum is right though what it holds is not."""
    with suppress(zlib.error, EOFError, OSError):
        idx(filed(given, folder / "raw.gz"))
    idx(filed(compress(given, 1), folder / "idx.gz"))


TS = b"@problemName A\n@data\n1,2,3:4,5.5,6e-3:93\n-1,2,3:4,5,6:-90.5\n"
PAIR = b"1.0\t7\t8\tOne text\tAnother text\n0.0\t9\t10\t\t\n"
COMMANDS = (
    "list", "list models", "list --json", "cite s4d", "run synthetic/shift -m s4d --seeds 0,2-3",
    "run synthetic -m s4d[state=32] --protocol steps=2,batch=2 --timeout 5 --memory-limit 6G",
    "run lra/listops -m transformer --match params=200k --budget 90s --vary both --json",
    "run synthetic/shift -m s4d --sweep lr_scale=0.3,1,3 --dry-run", "run --preset quickstart",
    "compare s4d transformer --results nowhere --fail-on score:-5%,time:+5%", "--version", "-h",
    "claim --dry-run", "report --results nowhere --format md,csv", "published lra/text -m s4d",
    "store verify --results nowhere", "store upgrade", "store repair --results .", "new model a-b",
    "publish --results nowhere --no-tables --to v1", "run a -m b --plugin no.py --executor none",
)  # fmt: skip
RECORDS = tuple(
    line
    for suite in ("scaling", "synthetic")
    for line in first_lines(f"results/records/v1/{suite}", "**/*.jsonl", 2)
)

READERS = (
    Reader("names", 220, (b"s4d", b"synthetic/shift@1[length=16,a=exp]", b"lra/*"), read_name,
           words=(b"@", b"[", b"]", b",", b"=", b"/", b"*")),
    Reader("options", 150, (b"steps=200,batch=16", b"lr_scale=0.3,1,3;state=16,64", b"params=1.5M",
                            b"score:-5%,time:+5%"), read_options,
           words=tuple(f"{name}=".encode() for name in Protocol().__dict__)),
    Reader("seeds", 60, (b"3", b"0,4-6", b"999999999"), lambda given, _: parse_seeds(text(given))),
    Reader("limits", 60, (b"90s", b"10min", b"6G", b"1.5 MiB"), read_seconds_and_bytes),
    Reader("claims", 60, (b"mamba > s4d on retrieval/mqar at params=100k",
                          "a ≈ b[c=1] on x, y/* within 2 points".encode()),
           lambda given, _: parse_claim(text(given))),
    Reader("lines of records", 120, RECORDS, lambda given, _: decoded(given), (ValueError,)),
    Reader("files of records", 30, (*RECORDS, b"".join(RECORDS)), read_store),
    Reader("messages", 60, tuple(map(codec.encode, (Progress(step=1, steps=2, loss=0.5), Plan()))),
           lambda given, _: codec.decode(given, Event | Plan), (ValueError,)),
    Reader("ts", 60, (TS,), read_ts, words=(b"@data", b":", b",", b"#", b"%")),
    Reader("wav", 60, (sound(),), read_wav,
           words=(b"fmt ", b"data", b"\xfe\xff", b"\xff\xff\xff\xff")),
    Reader("idx", 30, (*digits(), bytes((0, 0, 8, 1, 0, 0, 0, 2, 1, 2))), idx_unpacked),
    Reader("tables of pairs", 30, (PAIR,), read_pairs),
    Reader("archives", 40, tuple(tars()), read_archive,
           words=(b"GNU.sparse.map=1", b"30 mtime=1e999999\n", b"PK\1\2", b"PK\3\4", b"000000")),
    Reader("claims of papers", 10,
           tuple(path.read_bytes()[:3000] for path in sorted((ROOT / "claims").glob("*.toml"))[:2]),
           lambda given, folder: papers(filed(given, folder / "claims" / "a.toml").parent)),
    Reader("published figures", 10,
           tuple(b"".join(first_lines(f"results/published{more}", "*.csv", 4))
                 for more in ("", "/costs")),
           read_published),
    Reader("command lines", 10, tuple(line.replace(" ", "\0").encode() for line in COMMANDS),
           read_command, words=(b"\0", b"\0--\0", b"\0-m\0", b"\0--json\0", b"\0--plugin\0")),
)  # fmt: skip


def place(why: str) -> str:
    """Return what tells findings apart: the last call of a traceback, and the error."""
    return " ".join(why.rsplit("  File ", maxsplit=1)[-1].split())[:150]


def tell(reader: Reader, given: bytes, why: str) -> None:
    """Print a finding."""
    print(f"  {reader.name}: {why}\n    {given[:200]!r}", flush=True)  # noqa: T201


def campaign(wanted: Sequence[Reader], count: int, seed: int, folder: Path) -> int:
    """Feed readers their shares of so many inputs; print how many each had, and what was found."""
    found, total = 0, sum(reader.share for reader in wanted)
    for reader in wanted:
        share = -(-count * reader.share // total)
        seen: set[str] = set()
        for given, why in findings(reader, share, seed, folder):
            if (short := place(why)) not in seen:
                seen.add(short)
                tell(reader, given, short)
        had = share + len(reader.seeds)
        print(f"{reader.name}: {had:,} inputs, {len(seen)} findings", flush=True)  # noqa: T201
        found += len(seen)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="a reader's name")
    asked = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    chosen = [reader for reader in READERS if asked.only in {"", reader.name}]
    with tempfile.TemporaryDirectory() as made:
        sys.exit(campaign(chosen, asked.inputs, asked.seed, Path(made)) > 0)
