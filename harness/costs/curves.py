"""What scaling records say about cost, and how it is carried over to other sizes. No torch.

A call costs what the same model's call cost at the nearest width and depth that was measured, with
the same options if there is such a record, on the same kind of device and in the same precision.
Over the length the cost is a constant, a linear and a quadratic part. All parts grow with the
depth; all but the constant grow with the batch, and with the width to a power.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from harness.core.config import Protocol, Selector
from harness.core.messages import Planned
from harness.core.record import Record
from harness.costs.frontier import parts

TRAINING = "scaling/train"
NEAR = 3
"""Measured lengths that the parts are fitted to: those nearest to the one that is asked about."""

Points = list[tuple[int, float]]


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
    """Its name."""
    model: Selector
    size: Size
    """Of the batch, the width and the depth; the length is the points'."""
    device: str
    precision: str
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
        self.untrained = {r.spec.model.name for r in known if r.parameters == 0}
        """Models that have nothing to train."""

    def curve(self, planned: Planned, size: Size) -> Curve | None:
        """Return the measurements of the planned model that are nearest to a size."""
        task = TRAINING if planned.learns else planned.spec.task.name
        found = [
            curve
            for curve in self.curves
            if (curve.task, curve.model.name) == (task, planned.model.name)
            and curve.device == planned.spec.device
            and planned.spec.protocol
            and curve.precision == planned.spec.protocol.precision
        ]
        return min(found, key=lambda curve: curve.distance(planned, size), default=None)


def curves(records: list[Record]) -> list[Curve]:
    """Sort measurements by task, model, size and machine, in the order of the records."""
    groups: dict[tuple[str, Selector, Size, str, str, str], dict[int, Record]] = {}
    for record in records:
        if record.measured is None or record.spec.protocol is None:
            continue
        size = sized(record.spec.protocol, 0)
        precision, where = record.spec.protocol.precision, record.place
        key = record.spec.task.name, record.model, size, record.spec.device, precision, where
        groups.setdefault(key, {}).setdefault(record.measured.length, record)
    return [
        Curve(
            task=task,
            model=model,
            size=size,
            device=device,
            precision=precision,
            machine=where,
            seconds=[(n, median(r.measured.call_s)) for n, r in found.items() if r.measured],
            bytes=[(n, float(r.memory.delta_bytes)) for n, r in found.items() if r.memory],
        )
        for (task, model, size, device, precision, where), found in groups.items()
    ]


def sized(protocol: Protocol, length: int, documents: int = 1) -> Size:
    """Return what a step or a call works on."""
    batch, width, depth = documents * protocol.batch, protocol.width, protocol.depth
    return Size(length=length, batch=batch, width=width, depth=depth)
