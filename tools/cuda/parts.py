"""What the check of a GPU does, part by part; each keeps to its time and leaves what it has."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from harness import report
from harness.core.config import Protocol
from harness.core.record import Record
from harness.measure.clock import now
from harness.measure.machine import cores, python
from harness.plugins.check_all import HEADING, Verdict, verdict

from .entry import ROOT
from .proof import agrees
from .scaling import PRECISIONS, Given, chosen, scaling

__all__ = ["Given", "conformance", "kernels", "profiles", "reported", "scaling", "tests"]

PROFILED = 3
AT_ONCE = 8
"""Models whose conformance is checked at a time; nothing is timed there."""


def tests(given: Given, until: float) -> Iterator[str]:
    """Run the tests that need a CUDA device."""
    tested = (ROOT / "tests").rglob("test_*.py")
    files = [str(path) for path in tested if "pytest.mark.cuda" in path.read_text()]
    words = ["-m", "pytest", "-q", "-m", "cuda", "-p", "no:cacheprovider", "-rs", *files]
    done = limited([sys.executable, *words], until)
    (given.out / "tests.txt").write_text(done)
    yield done.strip().splitlines()[-1] if done.strip() else "Nothing was said by pytest."


def kernels(given: Given, until: float) -> Iterator[str]:
    """Compare each layer, by the forms that run on the device, with exact numbers."""
    names = chosen(given.models)
    said = limited(python("-m", "tools.cuda.proof", given.device, *names), until)
    (given.out / "kernels.md").write_text(said)
    rows = [line for line in said.splitlines()[2:] if line.startswith("|")]
    wrong = [row.strip("| ").partition(" | ")[0] for row in rows if not agrees(row)]
    named = f": {', '.join(wrong)}" if wrong else ""
    yield f"{len(rows)} of {len(names)} layers compared, {len(wrong)} do not agree{named}."


def conformance(given: Given, until: float) -> Iterator[str]:
    """Check what the contract asks of every model, on the device; several at a time."""
    names = chosen(given.checked)
    verdicts = given.out / "conformance.txt"
    verdicts.write_text(HEADING + "\n")
    failed = unfinished = 0

    def checked(name: str) -> Verdict:
        return verdict("model", name, (), given.device, max(0.1, until - now()))

    with ThreadPoolExecutor(max(1, min(AT_ONCE, cores() // 2))) as pool:
        for found in pool.map(checked, names):
            failed += bool(found.complaints)
            unfinished += bool(found.unchecked)
            with verdicts.open("a", encoding="utf-8") as file:
                file.write(f"{found}\n")
    yield f"{len(names)} models: {failed} break the contract, {unfinished} were not finished."


def profiles(given: Given, until: float) -> Iterator[str]:
    """Look into a step of the slowest models, at the longest length that most of them ran."""
    slow = slowest(given.store.records(), len(chosen(given.models)))
    if not slow:
        yield "Nothing was measured, so nothing is profiled."
    for place, record in enumerate(slow):
        held = record.spec.protocol or Protocol()
        length = str(record.measured.length if record.measured else 0)
        words = [record.model, length, held.precision, str(held.width), given.device]
        share = now() + (until - now()) / (len(slow) - place)
        said = limited(python("-m", "tools.cuda.profiling", *words), share)
        (given.out / f"profile-{record.spec.model.name}.json").write_text(said)
        yield f"{record.model} at {length}: {told(said)}"


def slowest(records: Iterable[Record], models: int) -> list[Record]:
    """Return the slowest measurements in single precision at one length, the slowest first."""
    lengths: dict[int, list[Record]] = {}
    for each in records:
        usual = each.spec.protocol and each.spec.protocol.precision == PRECISIONS[0]
        if each.measured and each.measured.call_s and usual and each.spec.model.name != "peer":
            lengths.setdefault(each.measured.length, []).append(each)
    most = [length for length, found in lengths.items() if 2 * len(found) >= models]
    found = lengths[max(most)] if most else []
    return sorted(found, key=lambda r: -median(r.measured.call_s if r.measured else [0.0]))[
        :PROFILED
    ]


def told(said: str) -> str:
    """Say a profile in a sentence."""
    try:
        seen = json.loads(said.splitlines()[-1])
    except (ValueError, IndexError):
        return f"no profile ({' '.join(said.split())[-200:] or 'nothing was said'})."
    name, count, spent = seen["top"][0]
    return (
        f"{seen['launches']} launches, {seen['device_ms']:.1f} ms on the device; "
        f"longest {name}, {count} times, {spent:.1f} ms."
    )


def reported(given: Given, until: float) -> Iterator[str]:  # noqa: ARG001 - the face of a part
    """Write tables, figures and the page from the records."""
    paths = report.write(list(given.store.records()), given.out / "report")
    yield f"{len(paths)} files in {given.out / 'report'}."


def limited(words: list[str], until: float) -> str:
    """Return what a command writes until a time, at which it is ended."""
    try:
        done = subprocess.run(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=max(0.1, until - now()),
            check=False,
            cwd=ROOT,
        )
    except subprocess.TimeoutExpired as error:
        return f"{(error.stdout or b'').decode(errors='replace')}\nIt was stopped: no time left."
    return done.stdout.decode(errors="replace")
