"""What planned runs will take, carried over from scaling records; no figure without one. No torch.

A training step costs what the same model's step cost in `scaling/train`, carried over as
`harness.costs.curves` says: with the width to the power of 1.5 (seconds), between what a layer does
channel by channel and what its linear maps do, or 1 (bytes). A measured task is carried over from
its own records. Drawing data, scoring and starting processes are not in the figures.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from harness.core.config import Limits, Protocol, Selector
from harness.core.messages import Plan, Planned
from harness.core.record import Record
from harness.costs.curves import Evidence, sized
from harness.costs.frontier import CALLS
from harness.results.store import Store

RESULTS = Path(__file__).parents[2] / "results"
PUBLISHED = tuple(str(RESULTS / kind / "v1") for kind in ("records", "costs"))
"""The records of this checkout, from whatever folder it is asked: of the models that its tables
compare, and of the others, which serve estimates only."""
SECONDS_BY_WIDTH, BYTES_BY_WIDTH = 1.5, 1.0
SETTLING = 1 / 16
"""Share of a measurement's budget that calls are repeated for before they count."""

Expected = Literal["stored", "skipped", "cannot run", "needs files", "over budget", "to run"]


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be expected of one planned run."""

    run_id: str
    task: Selector
    model: Selector
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


def forecasts(
    plan: Plan, results: str, limits: Limits, published: Sequence[str] = PUBLISHED
) -> list[Forecast]:
    """Say what is to be expected of every planned run.

    Args:
        plan: Planned with a look ahead.
        results: The folder in which finished runs are looked for, and scaling records first.
        limits: Decide whether a stored failure stands.
        published: Folders of further scaling records.
    """
    store = Store(results)
    folders = (store, *map(Store, published))
    evidence = Evidence([record for each in folders for record in each.records()])
    return [
        limited(forecast(planned, store.finished(planned.spec.run_id, limits), evidence), limits)
        for planned in plan.runs
    ]


def limited(told: Forecast, limits: Limits) -> Forecast:
    """Mark a run whose predicted memory is above the limit."""
    if told.expected != "to run" or not 0 < limits.memory_bytes < (told.bytes or 0.0):
        return told
    reason = f"Predicted to need {told.bytes:.3g} bytes of a limit of {limits.memory_bytes:,}."
    return msgspec.structs.replace(told, expected="over budget", reason=reason)


def forecast(planned: Planned, stored: Record | None, evidence: Evidence) -> Forecast:
    """Say what is to be expected of one run."""
    ahead = planned.requirements
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
    lacks = {"expected": "needs files", "files": ahead.files} if ahead.files else {}
    return msgspec.structs.replace(told, **lacks)


def costed(told: Forecast, planned: Planned, evidence: Evidence) -> Forecast:
    """Add what a run will take, if records say."""
    protocol, ahead = planned.spec.protocol, planned.requirements
    assert protocol is not None
    assert ahead is not None
    name = planned.model.name
    if planned.learns and name in evidence.untrained:
        basis = f"records of {name} have nothing to train"
        return msgspec.structs.replace(told, seconds=0.0, basis=basis)
    size = sized(protocol, ahead.length, ahead.documents)
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
    task = "" if planned.learns else f" on {planned.spec.task.name}"
    device = "" if planned.spec.device == "cpu" else f", {planned.spec.device}"
    basis = f"unknown: no scaling record of {planned.model.name}{task}{device}"
    limit = protocol.seconds if planned.learns else 0.0
    basis += "; at most its limit" if limit else ""
    return msgspec.structs.replace(told, seconds=limit or None, basis=basis)
