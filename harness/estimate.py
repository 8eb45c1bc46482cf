"""What planned runs will take, carried over from scaling records; no figure without one. No torch.

A training step costs what the same model's step cost in `scaling/train`, at the nearest width and
depth that was measured, with the same options if there is such a record. Over the length the cost
is a constant, a linear and a quadratic part. All parts grow with the depth; all but the constant
grow with the batch, and with the width to the power of 1.5 (seconds), between what a layer does
channel by channel and what its linear maps do, or 1 (bytes). A measured task is carried over from
its own records. Drawing data, scoring and starting processes are not in the figures.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Literal

import msgspec

from harness.frontier import CALLS, parts
from harness.job import Plan, Planned
from harness.record import Record
from harness.spec import Limits, Protocol, Selector
from harness.store import Store

PUBLISHED = "results/records/v1"
TRAINING = "scaling/train"
LENGTH, WIDTH = "length", "width"
SECONDS_BY_WIDTH, BYTES_BY_WIDTH = 1.5, 1.0
SETTLING = 1 / 16
"""Share of a measurement's budget that calls are repeated for before they count."""
NEAR = 3
"""Measured lengths that the parts are fitted to: those nearest to the one that is asked about."""

Points = list[tuple[int, float]]
Expected = Literal["stored", "skipped", "cannot run", "needs files", "over budget", "to run"]


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be expected of one planned run."""

    run_id: str
    task: str
    model: str
    seed: int
    expected: Expected
    reason: str = ""
    """Why it is not simply run."""
    files: dict[str, int | None] = {}
    """Files that must be fetched first, with their bytes; None where nobody says how many."""
    parameters: int | None = None
    seconds: float | None = None
    """Of all training steps, or of a measurement; None if no record says."""
    bytes: float | None = None
    """Peak of a step or call above what the process holds before; None if no record says."""
    basis: str = ""
    """The records that the figures are carried over from, or which are missing."""
    machine: str = ""
    """Where these were made."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """What a step or a call works on."""

    length: int
    batch: int
    width: int
    depth: int


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One model on one measured task, over lengths."""

    task: str
    model: str
    size: Size
    """Of the batch, the width and the depth; the length is the points'."""
    device: str
    machine: str
    seconds: Points
    bytes: Points

    def distance(self, planned: Planned, size: Size) -> tuple[bool, float]:
        """Return whether the options differ, and how far the network's size is away."""
        factors = size.width / self.size.width, size.depth / self.size.depth
        return planned.model != self.model, sum(abs(math.log(factor)) for factor in factors)

    def carried(self, points: Points, size: Size, by_width: float) -> float | None:
        """Return a cost at another size; None without points."""
        if not points:
            return None
        near = sorted(points, key=lambda point: abs(math.log(point[0] / size.length)))[:NEAR]
        constant, *growing = parts(sorted(near), size.length)
        wider: float = (size.width / self.size.width) ** by_width
        growth = size.batch / self.size.batch * wider
        return size.depth / self.size.depth * (constant + sum(growing) * growth)


class Evidence:
    """What records say about cost."""

    def __init__(self, records: Iterable[Record]) -> None:
        known = list(records)
        self.curves = curves(known)
        self.untrained = {named(r.spec.model) for r in known if r.parameters == 0}
        """Models that have nothing to train."""

    def curve(self, planned: Planned, size: Size) -> Curve | None:
        """Return the measurements of the planned model that are nearest to a size."""
        task = TRAINING if planned.learns else named(planned.spec.task)
        found = [
            curve
            for curve in self.curves
            if (curve.task, named(curve.model)) == (task, named(planned.model))
            and curve.device == planned.spec.device
        ]
        return min(found, key=lambda curve: curve.distance(planned, size), default=None)


def named(text: str) -> str:
    """Return a name without its options."""
    return Selector.parse(text).name


def curves(records: list[Record]) -> list[Curve]:
    """Sort measurements by task, model, size and machine, in the order of the records."""
    groups: dict[tuple[str, str, Size, str, str], dict[int, Record]] = {}
    for record in records:
        if record.measured is None or record.spec.protocol is None:
            continue
        size = sized(record.spec.protocol, 0, record.spec.task)
        key = named(record.spec.task), record.model, size, record.spec.device, machine(record)
        groups.setdefault(key, {}).setdefault(record.measured.length, record)
    return [
        Curve(
            task=task,
            model=model,
            size=size,
            device=device,
            machine=where,
            seconds=[(n, median(r.measured.call_s)) for n, r in found.items() if r.measured],
            bytes=[(n, float(r.memory.delta_bytes)) for n, r in found.items() if r.memory],
        )
        for (task, model, size, device, where), found in groups.items()
    ]


def sized(protocol: Protocol, length: int, task: str, documents: int = 1) -> Size:
    """Return what a step or a call works on; a measured task may have a width of its own."""
    own = Selector.parse(task).options.get(WIDTH, 0)
    width = own if isinstance(own, int) and own else protocol.width
    return Size(length=length, batch=documents * protocol.batch, width=width, depth=protocol.depth)


def machine(record: Record) -> str:
    """Name the machine of a record in a few words."""
    facts = record.machine
    torch = facts.get("packages", {}).get("torch", "unknown")
    return f"{facts.get('processor', 'unknown')}, {facts.get('cores', '?')} cores, torch {torch}"


def forecasts(
    plan: Plan, results: str, limits: Limits, published: str = PUBLISHED
) -> list[Forecast]:
    """Say what is to be expected of every planned run.

    Args:
        plan: Planned with a look ahead.
        results: The folder in which finished runs are looked for, and scaling records first.
        limits: Decide whether a stored failure stands.
        published: A folder of further scaling records.
    """
    store = Store(results)
    evidence = Evidence([*store.records(), *Store(published).records()])
    return [
        forecast(planned, store.finished(planned.spec.run_id, limits), evidence)
        for planned in plan.runs
    ]


def forecast(planned: Planned, stored: Record | None, evidence: Evidence) -> Forecast:
    """Say what is to be expected of one run."""
    ahead = planned.prospect
    told = Forecast(
        run_id=planned.spec.run_id,
        task=planned.task,
        model=planned.model,
        seed=planned.spec.seed,
        expected="to run",
        parameters=ahead.parameters if ahead else None,
    )
    if stored is not None:
        reason = " ".join(filter(None, [f"{stored.outcome}.", stored.reason]))
        return msgspec.structs.replace(told, expected="stored", reason=reason)
    if planned.skip or ahead is None:
        return msgspec.structs.replace(told, expected="skipped", reason=planned.skip)
    if ahead.refusal:
        return msgspec.structs.replace(told, expected="cannot run", reason=ahead.refusal)
    told = costed(told, planned, evidence)
    if ahead.files:
        return msgspec.structs.replace(told, expected="needs files", files=ahead.files)
    return told


def costed(told: Forecast, planned: Planned, evidence: Evidence) -> Forecast:
    """Add what a run will take, if records say."""
    protocol, ahead = planned.spec.protocol, planned.prospect
    assert protocol is not None
    assert ahead is not None
    name = named(planned.model)
    if planned.learns and name in evidence.untrained:
        basis = f"records of {name} have nothing to train"
        return msgspec.structs.replace(told, seconds=0.0, basis=basis)
    size = sized(protocol, ahead.length, planned.spec.task, ahead.documents)
    curve = evidence.curve(planned, size)
    if curve is None:
        return unknown(told, planned, protocol)
    step = curve.carried(curve.seconds, size, SECONDS_BY_WIDTH)
    assert step is not None
    told = msgspec.structs.replace(
        told,
        seconds=spent(step, protocol, learns=planned.learns),
        bytes=curve.carried(curve.bytes, size, BYTES_BY_WIDTH),
        basis=f"{curve.task} of {curve.model}, width {curve.size.width}, depth {curve.size.depth}",
        machine=curve.machine,
    )
    if not planned.learns and CALLS * step > protocol.budget_s:
        reason = f"Predicted to take {CALLS * step:.3g} s of a budget of {protocol.budget_s:g} s."
        return msgspec.structs.replace(told, expected="over budget", reason=reason)
    return told


def spent(step: float, protocol: Protocol, *, learns: bool) -> float:
    """Return the seconds of a whole training; of a measurement, its settling and fewest calls."""
    if not learns:
        return protocol.budget_s * SETTLING + CALLS * step
    return min(protocol.steps * step, protocol.seconds or math.inf)


def unknown(told: Forecast, planned: Planned, protocol: Protocol) -> Forecast:
    """Say that no record says, and how long the run may take at most if it is limited."""
    task = "" if planned.learns else f" on {named(planned.spec.task)}"
    device = "" if planned.spec.device == "cpu" else f", {planned.spec.device}"
    basis = f"unknown: no scaling record of {named(planned.model)}{task}{device}"
    if planned.learns and protocol.seconds:
        basis += "; at most its limit"
        return msgspec.structs.replace(told, seconds=protocol.seconds, basis=basis)
    return msgspec.structs.replace(told, basis=basis)
