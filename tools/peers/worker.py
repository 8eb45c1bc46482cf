"""The child process: reads an ask and answers it.

Nothing is caught here: what ends this process is told by its last words, which the parent reads.
"""

from collections.abc import Callable, Mapping
from statistics import median

import msgspec
import torch

from harness.measure import memory
from harness.measure.clock import median_precision, now

from .ask import Answer, Ask, Bounds
from .sides import Workload, prepared

PRECISION, FEWEST, MOST = 0.03, 3, 200
"""Timing stops at this half-width of a median's interval, within these numbers of calls."""
EDGE, NUMBERS = 1024, 2**22
"""Rows of the square matrices, and numbers of the arrays, that the ceilings are measured on."""


def answer(text: bytes) -> bytes:
    """Answer an ask and the bounds it is to keep, both in JSON, in JSON."""
    ask, bounds = msgspec.json.decode(text, type=tuple[Ask, Bounds])
    memory.limit(bounds.memory_bytes)
    return msgspec.json.encode(measured(ask, bounds))


def measured(ask: Ask, bounds: Bounds) -> Answer:
    """Measure in this process; a memory pass comes last, since it slows all that follows."""
    work = {side: prepared(side, ask) for side in ask.sides}
    calls = {side: each.call for side, each in work.items()}
    if ask.mode == "time":
        seconds = interleaved(calls, bounds.budget_s)
        return Answer(seconds=seconds, ceilings=ceilings(), path=ran(work))
    (side,) = ask.sides
    if ask.mode == "memory":
        calls[side]()
        weighed, seconds = memory.peak(calls[side]), {}
    else:
        seconds = interleaved(calls, bounds.budget_s)
        weighed = memory.peak(calls[side])
    return Answer(
        seconds=seconds,
        peak_bytes=weighed.peak_bytes,
        delta_bytes=weighed.delta_bytes,
        path=ran(work),
    )


def ran(work: Mapping[str, Workload]) -> str:
    """Name the forms that ran, which some layers know only afterwards."""
    return "+".join(filter(None, (each.path() for each in work.values())))


def interleaved(
    calls: Mapping[str, Callable[[], object]], budget_s: float
) -> dict[str, list[float]]:
    """Time calls in turns, A B A B, until every median is precise or the budget is spent.

    The first call of each pays for lazy set-up at its shapes and is left out.
    """
    began = now()
    for call in calls.values():
        call()
    round_s = now() - began
    seconds: dict[str, list[float]] = {side: [] for side in calls}
    for rounds in range(MOST):
        spent = now() - began
        if rounds and spent + round_s > budget_s:
            break
        if rounds >= FEWEST and all(map(precise, seconds.values())):
            break
        for side, call in calls.items():
            start = now()
            call()
            seconds[side].append(now() - start)
        round_s = sum(each[-1] for each in seconds.values())
    return seconds


def precise(seconds: list[float]) -> bool:
    """Return whether the median of some calls is known well enough."""
    reached = median_precision(seconds)
    return reached is not None and reached <= PRECISION


def ceilings() -> dict[str, float]:
    """Measure what no implementation can beat: products, exponentials, copies.

    Returns:
        Operations a second of a float32 matrix product, elements a second of `exp`, and bytes a
        second, read and written, of a copy.
    """
    square, product = torch.rand(2, EDGE, EDGE), torch.empty(EDGE, EDGE)
    source, target = torch.rand(2, NUMBERS)
    done = interleaved(
        {
            "matmul_flop_per_s": lambda: torch.mm(square[0], square[1], out=product),
            "exp_per_s": lambda: torch.exp(source, out=target),
            "copy_bytes_per_s": lambda: target.copy_(source),
        },
        budget_s=1.0,
    )
    amounts = {
        "matmul_flop_per_s": 2 * EDGE**3,
        "exp_per_s": NUMBERS,
        "copy_bytes_per_s": 2 * source.nbytes,
    }
    return {name: amounts[name] / median(done[name]) for name in amounts}
