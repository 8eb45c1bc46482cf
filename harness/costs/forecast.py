"""What planned runs will take, extrapolated from measurements; no figure without one. No torch.

A training costs its steps, extrapolated from records of the tasks that measure training steps; a
measurement costs its fewest calls, from records of its own task. Drawing data, scoring and starting
processes are not in the figures.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from harness.core.config import Limits, Protocol, Selector
from harness.core.grid import point_text
from harness.core.messages import Plan, Planned
from harness.core.record import Record
from harness.costs.curves import CostCurves, size_of
from harness.costs.frontier import CALLS, SETTLING, over_budget
from harness.results.newest import newest
from harness.results.publish import shipped
from harness.results.store import Store

PUBLISHED = tuple(str(shipped(kind) / "v1") for kind in ("records", "costs"))
"""The published records, from whatever folder it is asked: of the models that tables compare, and
of the others, which serve estimates only."""

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
    """The records that the figures are extrapolated from, or which are missing."""
    machine: str = ""
    """Where these were made."""


def forecasts(
    plan: Plan,
    results: str,
    limits: Callable[[Planned], Limits],
    published: Sequence[str] = PUBLISHED,
    *,
    again: bool = False,
) -> list[Forecast]:
    """Say what is to be expected of every planned run.

    Args:
        plan: Planned with requirements.
        results: The folder in which finished runs are looked for, and scaling records first.
        limits: Those of a run decide whether a stored failure of it stands, and what is too much
            memory.
        published: Folders of further scaling records.
        again: Whether what is stored is repeated.
    """
    store = Store(results)

    def stored(run: Planned) -> Record | None:
        return None if again else store.finished(run, limits(run))

    curves = CostCurves(
        record
        for each in (store, *map(Store, published))
        for record in newest(each.records()).records
    )
    return [forecast(run, stored(run), curves, limits(run)) for run in plan.runs]


def forecast(
    planned: Planned, stored: Record | None, curves: CostCurves, limits: Limits
) -> Forecast:
    """Say what is to be expected of one run."""
    needs, point = planned.requirements, point_text(planned.point)
    after = f"after its {len(planned.trials)} trials" if planned.trials else ""
    run = Forecast(
        run_id=planned.spec.run_id,
        task=planned.task,
        model=planned.model,
        seed=planned.spec.seed,
        expected="to run",
        reason=f"trial of {point}" if point else after,
        parameters=needs.parameters if needs else None,
    )
    if stored is not None:
        reason = " ".join(filter(None, [f"{stored.outcome}.", stored.reason]))
        return replace(run, expected="stored", reason=reason)
    if planned.skip or needs is None:
        return replace(run, expected="skipped", reason=planned.skip)
    if needs.refusal:
        return replace(run, expected="cannot run", reason=needs.refusal)
    run = with_costs(run, planned, curves, limits)
    return replace(run, expected="needs files", files=needs.files) if needs.files else run


def with_costs(run: Forecast, planned: Planned, curves: CostCurves, limits: Limits) -> Forecast:
    """Add what a run will take, if records say, and whether that is too much."""
    protocol, needs = planned.spec.protocol, planned.requirements
    assert protocol is not None
    assert needs is not None
    if planned.learns and planned.model.name in curves.untrained:
        basis = f"records of {planned.model.name} have nothing to train"
        return replace(run, seconds=0.0, basis=basis)
    size = size_of(planned.spec, needs.length, needs.documents)
    curve = curves.nearest(planned, needs.measured_by, size)
    if curve is None:
        limit = protocol.seconds if planned.learns else 0.0
        return replace(run, seconds=limit or None, basis=lacking(planned, limit))
    step, (_, _, width, depth) = curve.at(size), curve.size
    run = replace(
        run,
        seconds=total_seconds(step.seconds, protocol, learns=planned.learns),
        bytes=step.bytes,
        basis=f"{curve.task} of {curve.model}, width {width}, depth {depth}",
        machine=curve.machine,
    )
    calls = {} if planned.learns else {"seconds": CALLS * step.seconds}
    prediction = {**calls, "bytes": step.bytes or 0.0}
    excess = over_budget(prediction, protocol.budget_s, limits.memory_bytes or math.inf)
    return replace(run, expected="over budget", reason=excess) if excess else run


def total_seconds(step: float, protocol: Protocol, *, learns: bool) -> float:
    """Return the seconds of a whole training; of a measurement, its settling and fewest calls."""
    if not learns:
        return protocol.budget_s * SETTLING + CALLS * step
    return min((protocol.steps or math.inf) * step, protocol.seconds or math.inf)


def lacking(planned: Planned, limit: float) -> str:
    """Say which record there is none of, and whether the run is limited in seconds."""
    task = "" if planned.learns else f" on {planned.spec.task.name}"
    device = "" if planned.spec.device == "cpu" else f", {planned.spec.device}"
    basis = f"unknown: no scaling record of {planned.model.name}{task}{device}"
    return basis + ("; at most its limit" if limit else "")
