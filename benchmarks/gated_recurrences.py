"""Gated recurrences: elementwise, with scalar decays a head, a decay a row, and the delta rule."""

from collections.abc import Sequence
from typing import Any

from benchmarks.benchmark import Benchmark, Case, find, rng

SLOW = {
    "naive_gated_scan": "gated_scan",
    "recurrent_ssd": "ssd",
    "recurrent_gla": "gla",
    "recurrent_delta_rule": "delta_rule",
}


class GatedRecurrence(Benchmark):
    """Each operator at width 128."""

    params = (["gated_scan", "ssd", "gla", "delta_rule"], [1024, 16_384])
    beside = tuple((form, 1024) for form in SLOW)
    compared = "operator"

    def build(self, operator: str, length: int) -> Case:
        import torch

        kind, draws = SLOW.get(operator, operator), rng()
        module = find("baselines", kind)
        form = getattr(module, operator)
        shapes: dict[str, list[tuple[int, ...]]] = {
            "gated_scan": [(length, 128), (length, 128), (128,)],
            "ssd": [(length, 4, 64), (length, 4), (length, 4), *[(length, 1, 64)] * 2, (4, 64, 64)],
            "gla": [*[(length, 16, 8)] * 4, (16, 8, 8)],
            "delta_rule": [
                (length, 2, 64),
                *[(length, 1, 2, 64)] * 2,
                (length, 2, 1),
                *[(length, 1, 2, 1)] * 2,
                (2, 64, 64),
            ],
        }
        inputs = [torch.rand(1, *shape, generator=draws) for shape in shapes[kind]]
        if kind == "ssd":
            inputs[2].neg_()  # logarithms of decays
        if kind == "delta_rule":
            torch.nn.functional.normalize(inputs[1], dim=-1, out=inputs[1])
            inputs[3].neg_()

        def call(form: Any, inputs: Sequence[Any]) -> torch.Tensor:
            if kind == "delta_rule":
                q, k, v, *gates, state = inputs
                inputs = q, k, v, module.Gates(*gates), state
            y: torch.Tensor = form(*inputs)[0]
            return y

        def check(y: torch.Tensor) -> None:
            slow = next(name for name, fast in SLOW.items() if fast == kind)
            start = [part[:, :1] for part in inputs[:-1]]
            expected = call(getattr(module, slow), [*start, inputs[-1]])
            torch.testing.assert_close(y[:, :1], expected, rtol=1e-4, atol=1e-4)

        return Case(lambda: call(form, inputs), inputs, check=check)

    time_gated_recurrence = Benchmark.training
    time_gated_recurrence_forward = Benchmark.forward
