"""Gated recurrences: elementwise, with scalar decays a head, and with a decay a row."""

from benchmarks.benchmark import Benchmark, Case, find, rng

SLOW = {"naive_gated_scan": "gated_scan", "recurrent_ssd": "ssd", "recurrent_gla": "gla"}


class GatedRecurrence(Benchmark):
    """Each operator at width 128."""

    params = (["gated_scan", "ssd", "gla"], [1024, 16_384])
    beside = tuple((form, 1024) for form in SLOW)
    compared = "operator"

    def build(self, operator: str, length: int) -> Case:
        import torch

        kind, draws = SLOW.get(operator, operator), rng()
        form = getattr(find("baselines", kind), operator)
        shapes: dict[str, list[tuple[int, ...]]] = {
            "gated_scan": [(length, 128), (length, 128), (128,)],
            "ssd": [(length, 4, 64), (length, 4), (length, 4), *[(length, 1, 64)] * 2, (4, 64, 64)],
            "gla": [*[(length, 16, 8)] * 4, (16, 8, 8)],
        }
        inputs = [torch.rand(1, *shape, generator=draws) for shape in shapes[kind]]
        if kind == "ssd":
            inputs[2].neg_()  # logarithms of decays

        def check(y: torch.Tensor) -> None:
            slow = next(name for name, fast in SLOW.items() if fast == kind)
            start = [part[:, :1] for part in inputs[:-1]]
            expected = getattr(find("baselines", kind), slow)(*start, inputs[-1])[0]
            torch.testing.assert_close(y[:, :1], expected, rtol=1e-4, atol=1e-4)

        return Case(lambda: form(*inputs)[0], inputs, check=check)

    time_gated_recurrence = Benchmark.training
    time_gated_recurrence_forward = Benchmark.forward
