"""Mamba's operators: the selective scan, compiled and in torch, and its short convolution."""

from benchmarks.given import Timed, a_commit_that_has_it

CHANNELS, STATES = 64, 16


class SelectiveScan(Timed):
    """A training step of 64 channels of 16 states; n/a where no compiler was."""

    version = "1"
    params = (["selective_scan", "chunked_scan"], [1024, 16_384])
    param_names = ("form", "length")

    def setup(self, form: str, length: int) -> None:
        with a_commit_that_has_it():
            import torch  # noqa: PLC0415

            from baselines.ops import native, selective_scan  # noqa: PLC0415
            from harness.core.seeding import stream  # noqa: PLC0415
        if form == "selective_scan" and not native.level():
            raise NotImplementedError("There was no compiler.")
        rng = stream("benchmarks")
        self.x = torch.randn(1, length, CHANNELS, generator=rng, requires_grad=True)
        B, C = (torch.randn(1, length, STATES, generator=rng) for _ in range(2))
        dt = torch.rand(1, length, CHANNELS, generator=rng) / 10
        A = -torch.arange(1.0, STATES + 1).repeat(CHANNELS, 1)
        self.system = selective_scan.Selective(dt=dt, A=A, B=B, C=C, D=torch.ones(CHANNELS))
        self.state = torch.zeros(1, CHANNELS, STATES)
        self.form = getattr(selective_scan, form)

    def time_selective_scan(self, form: str, length: int) -> None:
        self.form(self.x, self.system, self.state)[0].sum().backward()


class ShortConvolution(Timed):
    """A training step of 64 channels' causal convolutions of four taps, with SiLU."""

    version = "1"
    params = ([1024, 16_384],)
    param_names = ("length",)

    def setup(self, length: int) -> None:
        with a_commit_that_has_it():
            import torch  # noqa: PLC0415

            from baselines.ops.causal_conv import causal_conv  # noqa: PLC0415
            from harness.core.seeding import stream  # noqa: PLC0415
        rng = stream("benchmarks")
        self.x = torch.randn(1, length, CHANNELS, generator=rng, requires_grad=True)
        self.weight = torch.randn(CHANNELS, 4, generator=rng)
        self.convolve = causal_conv

    def time_short_convolution(self, length: int) -> None:
        self.convolve(self.x, self.weight, silu=True).sum().backward()
