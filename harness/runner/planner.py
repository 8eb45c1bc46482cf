"""Lets a child plan runs, and bears that a plugin ends it, or keeps it: the others are planned.

The child says before each run which one it is, so whoever ends it is known by its place.
"""

import os
import select
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from msgspec.structs import replace

from harness.core import codec
from harness.core.config import RunSpec
from harness.core.messages import Plan, PlanRequest, Progress
from harness.core.traces import signal_name
from harness.measure import machine
from harness.runner.channel import LastWords, genuine, new_token
from harness.runner.lines import Lines

PATIENCE_S = 120.0
"""Seconds in which a child may be silent: those of importing torch, or of planning one run."""
MOST = 2 << 30
"""Bytes that a plan may have, which is one line; a run takes one or two thousand."""


class Lost(NamedTuple):
    """A run whose planning ended the child, or did not end."""

    place: int
    why: str


def planned(request: PlanRequest) -> Plan:
    """Plan runs in a child that imports the plugins.

    Returns:
        The plan; what cannot be planned is among its problems.

    Raises:
        RuntimeError: The child ends before it has come to any run.
    """
    runs, lost, harmless = request.runs, list[RunSpec](), list[RunSpec]()
    problems: list[str] = []
    while isinstance(found := attempted(replace(request, runs=runs)), Lost):
        run = runs[found.place]
        problems.append(f"{run.model} on {run.task} cannot be planned: {found.why}")
        lost.append(run)
        harmless += runs[: found.place]
        runs = spared(runs, lost, harmless)
    return replace(found, problems=[*problems, *found.problems])


def spared(
    runs: Sequence[RunSpec], lost: Sequence[RunSpec], harmless: Sequence[RunSpec]
) -> list[RunSpec]:
    """Leave out runs like those that were lost.

    Which of its two plugins ended a planning nobody knows, unless the other did no harm elsewhere;
    who did so twice is asked no more.
    """
    pairs = {(_task(run), _model(run)) for run in lost}
    tasks, models = ({name(run) for run in harmless} for name in (_task, _model))
    guilty_tasks = Counter(task for task, model in pairs if model in models and task not in tasks)
    guilty_models = Counter(model for task, model in pairs if task in tasks and model not in models)
    return [
        run
        for run in runs
        if (_task(run), _model(run)) not in pairs
        and guilty_tasks[_task(run)] < 2
        and guilty_models[_model(run)] < 2
    ]


def _task(run: RunSpec) -> str:
    return run.task.name


def _model(run: RunSpec) -> str:
    return run.model.name


def attempted(request: PlanRequest) -> Plan | Lost:
    """Let one child plan; return what it says, or the run that ended it."""
    request = replace(request, token=new_token())
    with LastWords() as errors, child_of(request, errors) as child:
        place, why = -1, ""
        try:
            for line in genuine(lines(child), request.token):
                said: Plan | Progress = codec.decode(line, Plan | Progress)
                if isinstance(said, Plan):
                    return said
                place = said.step
            why = ended(child)
        except ValueError as error:
            why = f"its planner sent no plan ({error})."
        words = errors.told()
    if place < 0:
        raise RuntimeError(f"Planning failed: {why}\n" + "\n".join(words))
    return Lost(place, why + (f" Its last words: {words[-1].strip()[:300]}" if words else ""))


@contextmanager
def child_of(request: PlanRequest, errors: LastWords) -> Iterator[subprocess.Popen[bytes]]:
    """Start a child on a request; nothing of it is left afterwards."""
    child = subprocess.Popen(
        machine.python("-m", "harness.runner.child", "harness.runner.worker", "plan"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors.sink,
        env=machine.pinned_environment(),
        start_new_session=True,
    )
    try:
        assert child.stdin is not None
        with suppress(BrokenPipeError):
            child.stdin.write(codec.encode(request))
            child.stdin.close()
        yield child
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def lines(child: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """Yield a child's lines until it ends, or is silent for too long.

    Raises:
        TooLongError: A line is longer than any plan.
    """
    assert child.stdout is not None
    lines = Lines(MOST)
    while select.select([child.stdout], [], [], PATIENCE_S)[0]:
        chunk = os.read(child.stdout.fileno(), 1 << 20)
        if not chunk:
            return
        yield from lines.cut(chunk)


def ended(child: subprocess.Popen[bytes]) -> str:
    """Say what became of a child that said no more."""
    try:
        code = child.wait(1.0)
    except subprocess.TimeoutExpired:
        return f"it took longer than {PATIENCE_S:g} s."
    return f"its process was ended by {f'code {code}' if code >= 0 else signal_name(-code)}."
