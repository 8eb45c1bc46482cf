"""The mathematics that models share: fast forms beside their textbook twins."""

from benchmarks.given import Timed, a_commit_that_has_it

CHANNELS, MODES = 32, 16


class DiagonalKernel(Timed):
    """Taps of 32 diagonal systems of 16 modes; the textbook form builds a (d, n, l) tensor."""

    version = "1"
    params = (["kernel", "textbook_kernel"], [1024, 16_384])
    param_names = ("form", "length")

    def setup(self, form: str, length: int) -> None:
        with a_commit_that_has_it():
            import torch  # noqa: PLC0415

            from baselines.ops import diagonal  # noqa: PLC0415
            from harness.core.seeding import stream  # noqa: PLC0415
        rng = stream("benchmarks")
        angle = torch.rand(CHANNELS, MODES, generator=rng, dtype=torch.float64)
        self.pole = torch.polar(torch.full_like(angle, 0.999), angle)
        self.weight = torch.randn(CHANNELS, 1, MODES, generator=rng, dtype=torch.complex64)
        self.form = getattr(diagonal, form)

    def time_diagonal_kernel(self, form: str, length: int) -> None:
        self.form(self.weight, self.pole, length)


class Convolution(Timed):
    """One causal convolution of 64 channels with kernels as long as the sequence."""

    version = "1"
    params = ([1024, 16_384],)
    param_names = ("length",)

    def setup(self, length: int) -> None:
        with a_commit_that_has_it():
            import torch  # noqa: PLC0415

            from baselines.ops.convolution import convolve  # noqa: PLC0415
            from harness.core.seeding import stream  # noqa: PLC0415
        rng = stream("benchmarks")
        self.u = torch.randn(1, length, 64, generator=rng)
        self.kernel = torch.randn(64, 1, length, generator=rng)
        self.skip = torch.randn(64, generator=rng)
        self.convolve = convolve

    def time_convolution(self, length: int) -> None:
        self.convolve(self.u, self.kernel, self.skip)


class LongDiagonalSystem(Timed):
    """Forward and backward of 32 diagonal systems of 16 modes in chunks."""

    version = "1"
    params = ([16_384, 65_536],)
    param_names = ("length",)

    def setup(self, length: int) -> None:
        with a_commit_that_has_it():
            import torch  # noqa: PLC0415

            from baselines.ops.chunked import chunked  # noqa: PLC0415
            from harness.core.seeding import stream  # noqa: PLC0415
        rng = stream("benchmarks")
        angle = torch.rand(CHANNELS, MODES, generator=rng, dtype=torch.float64)
        self.pole = torch.polar(torch.full_like(angle, 0.999), angle)
        self.weight = torch.randn(CHANNELS, 1, MODES, generator=rng, dtype=torch.complex64)
        self.weight.requires_grad_()
        self.u = torch.randn(1, length, CHANNELS, generator=rng)
        self.skip = torch.zeros(CHANNELS)
        self.form = chunked

    def time_long_diagonal_system(self, length: int) -> None:
        self.form(self.u, self.weight, self.pole, self.skip).sum().backward()
