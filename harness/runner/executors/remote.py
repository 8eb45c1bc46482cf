"""Does a job on another machine: what travels there, and what its record says of that place.

A parcel holds the job and the contents of the plugin files that it names, so that no folder need be
shared; this package must be there, and packages of plugins. Whoever calls imports no torch: the job
has a child process there as it has at home, with its limits and its last words.
"""

import dataclasses
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec.structs import replace

from harness.core import codec
from harness.core.config import Limits
from harness.core.errors import SpecError
from harness.core.messages import Job, Progress, Result
from harness.measure import machine
from harness.measure.clock import now
from harness.measure.selftest import selftest
from harness.runner.executors.process import Stop, execute

OURS = "ssm-bench"
"""Our distribution, which must be the same here and there."""
TOLD_S = 1.0
"""The least time between two words of progress that a person need not read at once."""
LOOK_S = 0.2
"""How often the thread that waits can be interrupted."""


class File(msgspec.Struct, frozen=True):
    """A plugin's file: its name, which names the plugin, and what is in it."""

    name: str
    content: bytes


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """All that a job takes along."""

    job: Job
    files: list[File]
    version: str
    """Ours, where the sweep is."""


def packed(job: Job) -> bytes:
    """Put a job and its plugin files together.

    Raises:
        OSError: A file cannot be read any more.
    """
    paths = [Path(plugin) for plugin in job.plugins]
    files = [File(path.name, path.read_bytes()) for path in paths]
    job = replace(job, results=str(Path(job.results).resolve()))  # others have another folder open
    return codec.encode(Parcel(job=job, files=files, version=machine.installed(OURS)))


def unpacked(parcel: Parcel, folder: Path) -> Job:
    """Lay the files into a folder, each in one of its own: two may have one name."""
    plugins = []
    for place, file in enumerate(parcel.files):
        path = folder / str(place) / file.name
        path.parent.mkdir()
        path.write_bytes(file.content)
        plugins.append(str(path))
    return replace(parcel.job, plugins=plugins)


def perform(
    text: bytes,
    on_progress: Callable[[Progress], None],
    *,
    threads: int,
    conditions: dict[str, int],
) -> bytes:
    """Do a job that came in a parcel, and return its result as JSON.

    The child has ended when this returns, also if the thread that calls it is interrupted.

    Args:
        text: The parcel, as `packed` made it.
        on_progress: Is told how far it has come, in another thread, about once a second.
        threads: Of the child's libraries.
        conditions: What else the record shall say of its place.

    Raises:
        SpecError: Another version of this package is installed here.
    """
    parcel: Parcel = codec.decode(text, Parcel)
    refuse_other(parcel.version)
    if not parcel.job.planned.learns:
        selftest.cache_clear()  # what is timed is alone: an earlier test may have had company
    here = {**machine.facts(), "selftest": selftest(), **conditions}
    with TemporaryDirectory() as folder, Stop() as stop, ThreadPoolExecutor(1) as thread:
        job = unpacked(parcel, Path(folder))
        told = Seldom(on_progress)
        doing = thread.submit(execute, job, told, threads=threads, stop=stop.end.fileno())
        try:
            while not doing.done():
                wait([doing], LOOK_S)  # an interrupt does not end a wait, but is seen after it
        except BaseException:
            stop.pull()
            raise
        result: Result = doing.result()
    return codec.encode(replace(result, conditions={**here, **result.conditions}))


def bounded(gib: float, asked: Limits) -> Limits:
    """Return the limits of a run that reserves some memory where it is done; 0: none."""
    most = int(gib * 2**30)
    if not most or 0 < asked.memory_bytes <= most:
        return asked
    return dataclasses.replace(asked, memory_bytes=most)


def refuse_other(version: str) -> None:
    """Check that a sweep's version is the one that is installed here.

    Raises:
        SpecError: It is not.
    """
    found = machine.installed(OURS)
    if found != version:
        raise SpecError(
            f"The sweep has {OURS} {version or 'uninstalled'}, and the node that should do the run "
            f"has {found or 'none'}; install the same on both."
        )


class Seldom:
    """Passes progress on that says something else than numbers, and of the rest some a second."""

    def __init__(self, on_progress: Callable[[Progress], None]) -> None:
        self.on_progress = on_progress
        self.last, self.passed = Progress(step=0, steps=0), -TOLD_S

    def __call__(self, progress: Progress) -> None:
        """Take a child's progress."""
        news = progress.notice or progress.status != self.last.status
        self.last = progress
        if news or progress.step == progress.steps or now() - self.passed >= TOLD_S:
            self.passed = now()
            self.on_progress(progress)


def trial(package: str, extra: str) -> tuple[bool, str]:
    """Say whether a child can import what an executor needs, for the doctor.

    Returns:
        Whether it can, and its version or what is wrong.
    """
    found = machine.installed(package)
    if not found:
        return False, f"not installed; it comes with ssm-bench[{extra}]"
    done = subprocess.run(
        machine.python("-c", f"import {package}"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    why = " ".join(done.stderr.strip().splitlines()[-1:])
    return not done.returncode, f"cannot be imported: {why}" if done.returncode else found
