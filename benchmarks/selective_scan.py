"""Mamba's operators: the selective scan, compiled and in torch, and its short convolution."""

from benchmarks.benchmark import Benchmark, Case, UnavailableError, find, named, rng

CHANNELS, STATES = 64, 16


class SelectiveScan(Benchmark):
    """A scan of 64 channels of 16 states, or as many as asked for; n/a where no compiler was."""

    params = (["selective_scan", "chunked_scan"], [1024, 16_384])

    def build(self, form: str, length: int, channels: int = CHANNELS) -> Case:
        import torch

        operators, draws = find("baselines", "selective_scan"), rng()
        if form == "selective_scan" and not find("baselines", "native").level():
            raise UnavailableError("There was no compiler.")
        scan = named(operators, form.replace("chunked_scan", "chunked_selective_scan"), form)
        x = torch.randn(1, length, channels, generator=draws)
        B, C = (torch.randn(1, length, STATES, generator=draws) for _ in range(2))
        dt = torch.rand(1, length, channels, generator=draws) / 10
        A = -torch.arange(1.0, STATES + 1).repeat(channels, 1)
        system = operators.Selective(dt=dt, A=A, B=B, C=C, D=torch.ones(channels))
        state = torch.zeros(1, channels, STATES)

        def check(y: torch.Tensor) -> None:
            first = (dt[:, 0] * (B * C)[:, 0].sum(-1) + 1) * x[:, 0].detach()
            torch.testing.assert_close(y[:, 0], first, rtol=1e-4, atol=1e-4)

        return Case(lambda: scan(x, system, state)[0], [x], check=check)

    time_selective_scan = Benchmark.training
    time_selective_scan_forward = Benchmark.forward


class ShortConvolution(Benchmark):
    """64 channels' causal convolutions of four taps, with SiLU."""

    params = ([1024, 16_384],)
    beside = ((1024, "naive_causal_conv"), (16_384, "naive_causal_conv"))

    def build(self, length: int, form: str = "causal_conv") -> Case:
        import torch

        convolve, draws = getattr(find("baselines", "causal_conv"), form), rng()
        x = torch.randn(1, length, CHANNELS, generator=draws)
        weight = torch.randn(CHANNELS, 4, generator=draws)

        def check(y: torch.Tensor) -> None:
            torch.testing.assert_close(y[:, 0], torch.nn.functional.silu(x[:, 0] * weight[:, 3]))

        return Case(lambda: convolve(x, weight, silu=True), [x], check=check)

    time_short_convolution = Benchmark.training
