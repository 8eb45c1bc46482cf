"""The kernel of S4 by dense Krylov blocks beside its Cauchy sums, and its continuation."""

from benchmarks.given import Timed, a_commit_that_has_it

CHANNELS, STATES = 16, 32


class KrylovKernel(Timed):
    """Taps of 16 LegS systems of 32 states."""

    version = "1"
    params = (["krylov", "cauchy"], [1024, 8192])
    param_names = ("form", "length")

    def setup(self, form: str, length: int) -> None:
        with a_commit_that_has_it():
            import torch  # noqa: PLC0415

            from baselines.ops import dplr, hippo, krylov  # noqa: PLC0415
            from harness.core.seeding import stream  # noqa: PLC0415
        pole, drive, P = hippo.diagonal("legs", STATES)
        parts = pole, P, drive.to(P.dtype)
        system = dplr.Continuous(*(x.expand(CHANNELS, *x.shape) for x in parts))
        rng = stream("benchmarks")
        C = torch.randn(CHANNELS, 1, STATES // 2, generator=rng, dtype=torch.complex64)
        dt = torch.logspace(-3, -1, CHANNELS, dtype=torch.float64)[:, None]
        dense = dplr.dense(dplr.discretise(system, dt))
        self.forms = {
            "krylov": lambda: krylov.kernel(*dense, dplr.reading(C), length),
            "cauchy": lambda: dplr.cauchy_kernel(system, C, dt, length),
        }

    def time_kernel(self, form: str, length: int) -> None:
        self.forms[form]()


class KrylovAdvance(Timed):
    """16 dense systems of 32 states, continued over one sequence."""

    version = "1"
    params = ([1024, 16_384],)
    param_names = ("length",)

    def setup(self, length: int) -> None:
        with a_commit_that_has_it():
            import torch  # noqa: PLC0415

            from baselines.ops import krylov  # noqa: PLC0415
            from harness.core.seeding import stream  # noqa: PLC0415
        rng = stream("benchmarks")
        shape = CHANNELS, STATES, STATES
        A = 0.9 * torch.linalg.qr(torch.randn(shape, generator=rng, dtype=torch.float64))[0]
        B = torch.ones(CHANNELS, STATES, dtype=torch.float64)
        u = torch.randn(1, length, CHANNELS, generator=rng)
        self.given = A, B, B.float(), u, torch.zeros(1, CHANNELS, STATES)
        self.advance = krylov.advance

    def time_advance(self, length: int) -> None:
        self.advance(*self.given)


class MultiscaleKernel(Timed):
    """The kernel of SGConv: 32 channels, pieces of 64."""

    version = "1"
    params = ([1024, 65_536],)
    param_names = ("length",)

    def setup(self, length: int) -> None:
        with a_commit_that_has_it():
            import torch  # noqa: PLC0415

            from baselines.ops.multiscale import multiscale_kernel, scales  # noqa: PLC0415
            from harness.core.seeding import stream  # noqa: PLC0415
        shape = scales(length, 64), 32, 1, 64
        self.given = torch.randn(shape, generator=stream("benchmarks")), torch.full((32,), 2.0)
        self.kernel = multiscale_kernel

    def time_multiscale_kernel(self, length: int) -> None:
        self.kernel(*self.given, length)
