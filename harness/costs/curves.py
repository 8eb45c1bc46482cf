"""What a step or a call costs: curves over the length, fitted to records of measurements. No torch.

A curve is one model on one measured task, at one width and depth, on one machine. Over the length,
a cost is a constant, a linear and a quadratic part: overheads, linear-time layers and attention are
what a sequence model's cost is made of. At another size it is extrapolated: all parts grow with the
depth; all but the constant grow with the batch, and with the width to a power.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from harness.core.config import Protocol, RunSpec, Selector
from harness.core.messages import Planned
from harness.core.record import Record

SECONDS_BY_WIDTH, BYTES_BY_WIDTH = 1.5, 1.0
"""Powers of the width; that of the seconds lies between what a layer does channel by channel and
what its linear maps do."""
NEAREST = 3
"""Measured lengths that the parts are fitted to: those nearest to the one that is asked about."""


class Size(NamedTuple):
    """What a step or a call works on."""

    length: int
    batch: int
    width: int
    depth: int


class Cost(NamedTuple):
    """Of a step or a call."""

    seconds: float
    bytes: float | None
    """Peak above what the process held before; None where nobody weighed."""


class CostCurve:
    """What calls of one model on one measured task cost, by their length."""

    def __init__(self, records: Sequence[Record]) -> None:
        """Take measurements that differ in nothing but length; of equal ones the first counts."""
        first = records[0]
        self.task, self.model, self.spec = first.spec.task.name, first.model, first.spec
        self.machine, self.size = first.place, size_of(first.spec, 0)
        self._found: dict[Size, Cost] = {}
        """What was asked already: all seeds of a run ask the same."""
        self.seconds: dict[int, float] = {}
        self.bytes: dict[int, float] = {}
        for record in records:
            if record.measured is not None and record.measured.length not in self.seconds:
                self.seconds[record.measured.length] = median(record.measured.call_s)
                if record.memory is not None:
                    self.bytes[record.measured.length] = float(record.memory.delta_bytes)

    def at(self, size: Size) -> Cost:
        """Return what a step or a call of a size costs."""
        if size not in self._found:
            self._found[size] = self._at(size)
        return self._found[size]

    def _at(self, size: Size) -> Cost:
        seconds = self._extrapolated(self.seconds, size, SECONDS_BY_WIDTH)
        weighed = self._extrapolated(self.bytes, size, BYTES_BY_WIDTH) if self.bytes else None
        return Cost(seconds, weighed)

    def _extrapolated(self, known: Mapping[int, float], size: Size, by_width: float) -> float:
        nearest = sorted(known, key=lambda length: abs(math.log(length / size.length)))[:NEAREST]
        points = [(length, known[length]) for length in sorted(nearest)]
        constant, *growing = parts(points, size.length)
        wider: float = (size.width / self.size.width) ** by_width
        growth = size.batch / self.size.batch * wider
        return size.depth / self.size.depth * (constant + sum(growing) * growth)

    def is_of(self, planned: Planned) -> bool:
        """Say whether it is of a run's model, device and precision."""
        ours, theirs = self.spec.protocol, planned.spec.protocol
        same = (self.model.name, self.spec.device) == (planned.model.name, planned.spec.device)
        return same and bool(ours and theirs and ours.precision == theirs.precision)

    def distance(self, model: Selector, size: Size) -> tuple[bool, float]:
        """Return whether a model's options differ, and how far a network's size is away."""
        factors = size.width / self.size.width, size.depth / self.size.depth
        return model != self.model, sum(abs(math.log(factor)) for factor in factors)


class CostCurves:
    """All that records say about cost, but those that others disturbed."""

    def __init__(self, records: Iterable[Record]) -> None:
        groups: dict[tuple[object, ...], list[Record]] = {}
        self.untrained: set[str] = set()
        """Models that have nothing to train."""
        for record in records:
            spec = record.spec
            if record.parameters == 0:
                self.untrained.add(record.model.name)
            if record.measured and spec.protocol and not record.disturbed:
                which = spec.task.name, record.model, spec.device, spec.protocol.precision
                key = *which, size_of(spec, 0), record.place
                groups.setdefault(key, []).append(record)
        self._of: dict[tuple[str, str], list[CostCurve]] = {}
        for curve in map(CostCurve, groups.values()):
            self._of.setdefault((curve.task, curve.model.name), []).append(curve)

    def nearest(self, planned: Planned, measured_by: Iterable[str], size: Size) -> CostCurve | None:
        """Return the curve of some tasks that is nearest to a planned run.

        It is the same model's in the same precision on the same kind of device; those with the same
        options go first, then those of the nearest width and depth.
        """
        found = [
            curve
            for task in measured_by
            for curve in self._of.get((task, planned.model.name), ())
            if curve.is_of(planned)
        ]
        return min(found, key=lambda curve: curve.distance(planned.model, size), default=None)


def size_of(spec: RunSpec, length: int, documents: int = 1) -> Size:
    """Return what a run works on: each of its examples is so many sequences of a length."""
    protocol = spec.protocol or Protocol()
    return Size(length, documents * protocol.batch, protocol.width, protocol.depth)


def parts(points: Sequence[tuple[int, float]], length: int) -> tuple[float, float, float]:
    """Return what a cost at a length is made of: a constant, a linear and a quadratic part.

    They are fitted with equal relative weight, and none of them is negative.

    Args:
        points: (length, cost) in order of length; of one alone, all the cost is linear.
        length: Where the cost is wanted.
    """
    import numpy as np  # noqa: PLC0415 - the command line starts without
    from scipy.optimize import nnls  # noqa: PLC0415 - the same

    if len(points) == 1:
        return 0.0, points[0][1] * length / points[0][0], 0.0
    at = np.array([point[0] for point in points]) / length
    cost = np.maximum([point[1] for point in points], 1e-12)
    constant, linear, quadratic = nnls(
        np.stack([at**0, at, at**2], 1) / cost[:, None], np.ones(len(cost))
    )[0]
    return float(constant), float(linear), float(quadratic)
