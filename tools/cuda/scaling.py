"""Measures a training step of every model, and of other people's layers, at growing lengths."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import groupby, product
from math import inf
from pathlib import Path

from harness.core.config import Limits, Protocol, RunSpec
from harness.core.messages import Job, Planned, Result
from harness.core.record import Record
from harness.costs.frontier import Frontier
from harness.measure.clock import now, today
from harness.plugins.registry import registry
from harness.results.destination import keep
from harness.results.store import Store
from harness.runner.course import at_once, recorded, says_something_new
from harness.runner.sweep import Sweep, plan, requests

from .warm import WarmExecutor

PRECISIONS = ("32-true", "bf16-mixed")
PEERS = {
    "flex-windows": "torch",
    "mamba-ssm": "mamba_ssm",
    "mamba-ssm-2": "mamba_ssm",
    "fla-gla": "fla",
    "fla-hgrn2": "fla",
    "mamba-by-mamba_ssm": "mamba_ssm",
    "gated-deltanet-by-fla": "fla",
    "gla-by-fla": "fla",
    "hgrn2-by-fla": "fla",
    "kda-by-fla": "fla",
    "mamba2-by-fla": "fla",
    "mamba2-by-mamba_ssm": "mamba_ssm",
}
"""Layers that `peer` knows, and the packages that some of them come from."""
PEER = str(Path(__file__).with_name("peer.py"))
MOST_S = 45.0
"""Seconds that one measurement may take, with all that is compiled at its first call."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """What is asked for."""

    out: Path
    device: str = "cuda"
    models: tuple[str, ...] = ()
    """Those that are timed; all, if none is named."""
    checked: tuple[str, ...] = ()
    """Those whose conformance is checked, likewise."""
    peers: tuple[str, ...] = tuple(PEERS)
    lengths: tuple[int, ...] = (4096, 16_384, 65_536, 262_144)
    width: int = 512
    budget_s: float = 4.0
    """Seconds that one measurement may be predicted to take, or else it is not made."""

    @property
    def store(self) -> Store:
        """Where its records are."""
        return Store(self.out / "records")


def scaling(given: Given, until: float) -> Iterator[str]:
    """Measure training steps, all models at a length before any at the next, peers last.

    What an earlier check with the same folder measured is not measured again.
    """
    asked = plan(Sweep(runs=tuple(runs(given)), plugins=(PEER,)))
    yield from asked.problems
    planned = sorted(asked.runs, key=_is_peer)
    executor, frontier = WarmExecutor(), Frontier(inf)
    try:
        for (peers, length), several in groupby(planned, key=lambda r: (_is_peer(r), r.length)):
            outcomes = Counter(
                measured(given, run, frontier, executor, until).outcome for run in several
            )
            said = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
            yield f"{'peers' if peers else 'models'} at {length:,} positions: {said}."
    finally:
        executor.close()


def _is_peer(run: Planned) -> bool:
    return run.model.name == "peer"


def runs(given: Given) -> Iterator[RunSpec]:
    """Yield every run that is asked for, attention first, shorter lengths before longer ones."""
    models = sorted(chosen(given.models), key=lambda name: name != "transformer")
    peers = [f"peer[layer={name}]" for name in given.peers if find_spec(PEERS[name])]
    for length, precision in product(given.lengths, PRECISIONS):
        task, several = [f"scaling/train[length={length}]"], [*models, *peers]
        size = Protocol(batch=1, depth=1, width=given.width, budget_s=given.budget_s)
        for run in requests(task, several, device=given.device, plugins=(PEER,)):
            yield replace(run, protocol=size.changed({"precision": precision}))


def measured(
    given: Given, planned: Planned, frontier: Frontier, executor: WarmExecutor, until: float
) -> Record:
    """Return a measurement, made and stored if it is not there, or the reason why there is none."""
    left = until - now()
    limits = Limits(timeout_s=round(min(MOST_S, max(left, 0.1)), 1))
    if known := given.store.finished(planned, limits):
        frontier.note(planned, known)
        return known
    started, prediction = today(), frontier.predict(planned)
    if left <= 0:
        result = Result(outcome="not-run", reason="The time of the check was up.")
    else:
        job = Job(planned=planned, plugins=[PEER], limits=limits)
        result = at_once(planned, frontier, prediction) or executor.execute(job, lambda _: None)
    record = recorded(planned, result, limits, prediction, started)
    if says_something_new(record, given.store):
        keep(given.store, record)
    frontier.note(planned, record)
    return record


def chosen(names: Iterable[str]) -> list[str]:
    """Return the models that are named, or else all."""
    return list(names) or list(registry().of("model"))
