"""The child process: reads an ask and answers it.

Nothing is caught here: what ends this process is told by its last words, which the parent reads.
"""

from collections.abc import Callable, Iterable, Mapping
from statistics import median

import msgspec
import torch

from benchmarks.benchmark import Case
from harness.measure import allocator, memory
from harness.measure.clock import sample

from .ask import Answer, Ask, Bounds
from .sides import built

MOST = 200
"""Timed calls of a side at most."""
EDGE, NUMBERS = 1024, 2**22
"""Rows of the square matrices, and numbers of the arrays, that the ceilings are measured on."""


def answer(text: bytes) -> bytes:
    """Answer an ask and the bounds it is to keep, both in JSON, in JSON."""
    ask, bounds = msgspec.json.decode(text, type=tuple[Ask, Bounds])
    if ask.mode != "memory":
        allocator.keep()
    memory.limit(bounds.memory_bytes)
    return msgspec.json.encode(measured(ask, bounds))


def measured(ask: Ask, bounds: Bounds) -> Answer:
    """Measure in this process; a memory pass comes last, since it slows all that follows."""
    cases = {side: built(side, ask) for side in ask.sides}
    calls = {side: case.call for side, case in cases.items()}
    if ask.mode == "time":
        seconds = timed(calls, bounds.budget_s)
        return Answer(seconds=seconds, ceilings=ceilings(), path=ran(cases.values()))
    (call,) = calls.values()
    if ask.mode == "both":
        seconds = timed(calls, bounds.budget_s)
    else:
        call()
        seconds = {}
    weighed = memory.peak(call)
    return Answer(
        seconds=seconds,
        peak_bytes=weighed.peak_bytes,
        delta_bytes=weighed.delta_bytes,
        path=ran(cases.values()),
    )


def ran(cases: Iterable[Case]) -> str:
    """Name the forms that ran, which some layers know only afterwards."""
    return "+".join(filter(None, (case.path() for case in cases)))


def timed(calls: Mapping[str, Callable[[], object]], budget_s: float) -> dict[str, list[float]]:
    """Time calls in turns until every median is precise or the budget is spent."""
    samples = sample(*calls.values(), settle_s=budget_s, budget_s=budget_s, most=MOST)
    return {side: each.seconds for side, each in zip(calls, samples, strict=True)}


def ceilings() -> dict[str, float]:
    """Measure what no implementation can beat: products, exponentials, copies.

    Returns:
        Operations a second of a float32 matrix product, elements a second of `exp`, and bytes a
        second, read and written, of a copy.
    """
    square, product = torch.rand(2, EDGE, EDGE), torch.empty(EDGE, EDGE)
    source, target = torch.rand(2, NUMBERS)
    done = timed(
        {
            "matmul_flop_per_s": lambda: torch.mm(square[0], square[1], out=product),
            "exp_per_s": lambda: torch.exp(source, out=target),
            "copy_bytes_per_s": lambda: target.copy_(source),
        },
        budget_s=1.0,
    )
    amounts = 2 * EDGE**3, NUMBERS, 2 * source.nbytes
    return {name: amount / median(done[name]) for name, amount in zip(done, amounts, strict=True)}
