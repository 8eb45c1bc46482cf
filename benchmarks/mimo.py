"""Systems of many inputs and outputs, S5's and the LRU's: forward, and with gradients."""

from benchmarks.given import Timed, a_commit_that_has_it

CHANNELS, MODES = 128, 32


class Mimo(Timed):
    """128 channels drive 32 modes in both directions of time."""

    version = "1"
    params = ([1024, 16_384],)
    param_names = ("length",)

    def setup(self, length: int) -> None:
        with a_commit_that_has_it():
            import torch  # noqa: PLC0415

            from baselines.ops.mimo import mimo  # noqa: PLC0415
            from harness.core.seeding import stream  # noqa: PLC0415
        rng = stream("benchmarks")
        angle = torch.rand(MODES, generator=rng, dtype=torch.float64)
        given = (
            torch.randn(1, length, CHANNELS, generator=rng),
            torch.polar(torch.full_like(angle, 0.999), angle),
            torch.randn(MODES, CHANNELS, generator=rng, dtype=torch.complex64),
            torch.randn(2, CHANNELS, MODES, generator=rng, dtype=torch.complex64),
            torch.randn(CHANNELS, generator=rng),
        )
        self.leaves = [leaf.requires_grad_() for leaf in given]
        self.rest = torch.zeros(1, MODES, dtype=torch.complex64)
        self.mimo, self.torch = mimo, torch

    def time_mimo(self, length: int) -> None:
        with self.torch.no_grad():
            self.mimo(*self.leaves, self.rest)

    def time_mimo_training(self, length: int) -> None:
        y = self.mimo(*self.leaves, self.rest)[0]
        self.torch.autograd.grad(y.sum(), self.leaves)
