"""The kernel of S4 by dense Krylov blocks beside its Cauchy sums, and its continuation."""

from typing import Any

from benchmarks.benchmark import Benchmark, Case, find, named, rng

CHANNELS, STATES = 16, 32


class KrylovKernel(Benchmark):
    """Taps of 16 LegS systems of 32 states; `discretised` makes the dense system in the call."""

    params = (["krylov", "cauchy"], [1024, 8192])
    beside = (("discretised", 1024), ("discretised", 8192))

    def build(self, form: str, length: int) -> Case:
        import torch

        dplr, hippo, krylov = (find("baselines", name) for name in ("dplr", "hippo", "krylov"))
        discretise = named(dplr, "bilinear", "discretise")
        pole, drive, P = hippo.diagonal("legs", STATES)
        parts = pole, P, drive.to(P.dtype)
        system = dplr.Continuous(*(x.expand(CHANNELS, *x.shape) for x in parts))
        C = torch.randn(CHANNELS, 1, STATES // 2, generator=rng(), dtype=torch.complex64)
        dt = torch.logspace(-3, -1, CHANNELS, dtype=torch.float64)[:, None]

        def dense() -> Any:
            return dplr.dense(discretise(system, dt))

        def check(taps: torch.Tensor) -> None:
            first = 2 * (C[:, 0] * discretise(system, dt).drive).sum(-1).real
            torch.testing.assert_close(taps[:, 0, 0], first.float(), rtol=1e-3, atol=1e-3)

        made = dense()
        calls = {
            "krylov": lambda: krylov.kernel(*made, dplr.reading(C), length),
            "discretised": lambda: krylov.kernel(*dense(), dplr.reading(C), length),
            "cauchy": lambda: dplr.cauchy_kernel(system, C, dt, length),
        }
        return Case(calls[form], check=check)

    time_kernel = Benchmark.forward


class KrylovAdvance(Benchmark):
    """16 dense systems of 32 states, continued over one sequence."""

    params = ([1024, 16_384],)
    beside = ((1024, "naive_advance"),)

    def build(self, length: int, form: str = "advance") -> Case:
        import torch

        advance, draws = getattr(find("baselines", "krylov"), form), rng()
        shape = CHANNELS, STATES, STATES
        A = 0.9 * torch.linalg.qr(torch.randn(shape, generator=draws, dtype=torch.float64))[0]
        B = torch.ones(CHANNELS, STATES, dtype=torch.float64)
        u = torch.randn(1, length, CHANNELS, generator=draws)
        state = torch.zeros(1, CHANNELS, STATES)

        def check(y: torch.Tensor) -> None:
            torch.testing.assert_close(y[:, 0], STATES * u[:, 0], rtol=1e-4, atol=1e-4)

        return Case(lambda: advance(A, B, B.float(), u, state)[0], check=check)

    time_advance = Benchmark.forward


class MultiscaleKernel(Benchmark):
    """The kernel of SGConv: 32 channels, pieces of 64."""

    params = ([1024, 65_536],)
    beside = ((1024, "naive_multiscale_kernel"),)

    def build(self, length: int, form: str = "multiscale_kernel") -> Case:
        import torch

        multiscale = find("baselines", "multiscale")
        kernel = getattr(multiscale, form)
        pieces = torch.randn(multiscale.scales(length, 64), 32, 1, 64, generator=rng())
        decay = torch.full((32,), 2.0)
        return Case(
            lambda: kernel(pieces, decay, length),
            check=lambda taps: torch.testing.assert_close(taps[..., :64], pieces[0]),
        )

    time_multiscale_kernel = Benchmark.forward
