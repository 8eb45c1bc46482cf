"""Systems of many inputs and outputs, S5's and the LRU's, and scans of their states alone."""

from benchmarks.benchmark import Benchmark, Case, find, named, rng

CHANNELS, MODES = 128, 32


class Mimo(Benchmark):
    """128 channels drive 32 modes in both directions of time."""

    params = ([1024, 16_384],)
    beside = ((1024, "naive_mimo"),)

    def build(self, length: int, form: str = "mimo") -> Case:
        import torch

        mimo, draws = getattr(find("baselines", "mimo"), form), rng()
        angle = torch.rand(MODES, generator=draws, dtype=torch.float64)
        leaves = (
            torch.randn(1, length, CHANNELS, generator=draws),
            torch.polar(torch.full_like(angle, 0.999), angle),
            torch.randn(MODES, CHANNELS, generator=draws, dtype=torch.complex64),
            torch.randn(2, CHANNELS, MODES, generator=draws, dtype=torch.complex64),
            torch.randn(CHANNELS, generator=draws),
        )
        state = torch.zeros(1, MODES, dtype=torch.complex64)

        def check(y: torch.Tensor) -> None:
            if y.requires_grad:
                of_u = leaves[0].detach().sum((0, 1))
                torch.testing.assert_close(leaves[-1].grad, of_u, rtol=1e-3, atol=1e-2)

        return Case(lambda: mimo(*leaves, state)[0], leaves, check=check)

    time_mimo = Benchmark.forward
    time_mimo_training = Benchmark.training


class VaryingScan(Benchmark):
    """A scan of 32 modes whose poles change with position."""

    params = ([1024, 16_384],)
    beside = ((1024, "naive_diagonal_scan"),)

    def build(self, length: int, form: str = "diagonal_scan") -> Case:
        import torch

        scans, draws = find("baselines", "diagonal_scan", "scan"), rng()
        scan = named(scans, form, form.replace("diagonal_", ""))
        pole = torch.polar(*torch.rand(2, 1, length, MODES, generator=draws, dtype=torch.float64))
        v = torch.randn(1, length, MODES, generator=draws, dtype=torch.complex64)
        first = v[:, 0] + (pole[:, 0] * v[:, 0]).to(v.dtype)
        return Case(
            lambda: scan(v, pole, v[:, 0]),
            check=lambda x: torch.testing.assert_close(x[:, 0], first),
        )

    time_varying_scan = Benchmark.forward
