"""The mathematics that models share: fast forms beside their textbook twins."""

from typing import Any

from benchmarks.benchmark import Benchmark, Case, find, named, rng

CHANNELS, MODES = 32, 16


def convolutions() -> Any:
    """Find the module of long convolutions."""
    return find("baselines", "fft_convolution", "convolution")


def modes(draws: Any) -> tuple[Any, Any]:
    """Draw weights and slowly decaying poles of diagonal systems."""
    import torch

    angle = torch.rand(CHANNELS, MODES, generator=draws, dtype=torch.float64)
    pole = torch.polar(torch.full_like(angle, 0.999), angle)
    return torch.randn(CHANNELS, 1, MODES, generator=draws, dtype=torch.complex64), pole


class DiagonalKernel(Benchmark):
    """Taps of 32 diagonal systems of 16 modes; the textbook form builds a (d, n, l) tensor."""

    params = (["kernel", "textbook_kernel"], [1024, 16_384])

    def build(self, form: str, length: int) -> Case:
        import torch

        kernel, (weight, pole) = getattr(find("baselines", "diagonal"), form), modes(rng())
        return Case(
            lambda: kernel(weight, pole, length),
            check=lambda taps: torch.testing.assert_close(taps[..., 0], weight.sum(-1).real),
        )

    time_diagonal_kernel = Benchmark.forward


class Convolution(Benchmark):
    """One causal convolution of 64 channels with kernels as long as the sequence."""

    params = ([1024, 16_384],)

    def build(self, length: int) -> Case:
        import torch

        convolve, draws = named(convolutions(), "fft_convolve", "convolve"), rng()
        u = torch.randn(1, length, 64, generator=draws)
        kernel = torch.randn(64, 1, length, generator=draws)
        skip = torch.randn(64, generator=draws)
        first = u[:, 0] * (kernel[:, 0, 0] + skip)
        return Case(
            lambda: convolve(u, kernel, skip),
            check=lambda y: torch.testing.assert_close(y[:, 0], first, rtol=1e-3, atol=1e-3),
        )

    time_convolution = Benchmark.forward


class LongDiagonalSystem(Benchmark):
    """32 diagonal systems of 16 modes, in chunks, or by a kernel and a convolution: `split`."""

    params = ([16_384, 65_536],)
    beside = ((32_768, "chunked", True), (32_768, "split", True))

    def build(self, length: int, form: str = "chunked", inner: bool = False) -> Case:
        """Prepare it; an inner layer's inputs have a gradient too."""
        import torch

        systems, draws = find("baselines", "chunked_diagonal", "chunked"), rng()
        chunked = named(systems, "chunked_diagonal_ssm", "chunked")
        weight, pole = modes(draws)
        u = torch.randn(1, length, CHANNELS, generator=draws)
        skip = torch.zeros(CHANNELS)

        def split() -> Any:
            kernel = find("baselines", "diagonal").kernel(weight, pole, length)
            return named(convolutions(), "fft_convolve", "convolve")(u, kernel, skip)

        def check(y: torch.Tensor) -> None:
            first = (u[:, 0] * weight.sum(-1).real[:, 0]).detach()
            torch.testing.assert_close(y[:, 0], first, rtol=1e-3, atol=1e-3)

        call = {"chunked": lambda: chunked(u, weight, pole, skip), "split": split}[form]
        return Case(call, [weight, u] if inner else [weight], check=check)

    time_long_diagonal_system = Benchmark.training


class OnlineConvolution(Benchmark):
    """1,024 steps of a convolution of 256 channels, its inputs one by one."""

    params = ([1024, 16_384],)

    def build(self, taps: int) -> Case:
        import torch

        online, draws = find("baselines", "online_convolution"), rng()
        kernel = torch.randn(256, taps, generator=draws)
        u = torch.randn(1024, 256, generator=draws)
        convolution = online.OnlineConvolution(kernel, torch.zeros(256))

        def call() -> Any:
            state = online.OnlineState(torch.zeros(1, online.DIRECT, 256), torch.tensor(0))
            for each in u:
                y, state = convolution.step(each[None], state)
            return y

        def check(y: torch.Tensor) -> None:
            direct = convolutions().direct_convolve
            expected = direct(u[None], kernel[:, None], torch.zeros(256))[:, -1]
            torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-3)

        return Case(call, check=check)

    time_online_convolution = Benchmark.forward
