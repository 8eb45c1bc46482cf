"""A leaky integrator: x_t = a x_{t-1} + (1 - a) u_t, each channel with a decay of its own."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.fft import irfft, rfft

from harness.api import Mixer, Model


class Leaky(Mixer):
    def __init__(self, width: int, decay: float, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.logit = nn.Parameter(torch.full((width,), decay).logit())

    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        time = torch.arange(length := u.shape[1], device=u.device)[:, None]
        if lengths is not None:
            u = u * (time < lengths[:, None, None])
        a = self.logit.sigmoid()
        kernel = rfft((1 - a) * a**time, 2 * length, dim=0)
        sides = [u] if self.causal else [u, u.flip(1)]
        past: list[Tensor] = [
            irfft(rfft(x, 2 * length, dim=1) * kernel, dim=1)[:, :length] for x in sides
        ]
        return past[0] if self.causal else past[0] + past[1].flip(1)

    def initial_state(self, batch: int) -> Tensor:
        return self.logit.new_zeros(batch, len(self.logit))

    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        state = torch.lerp(u, state, self.logit.sigmoid())
        return state, state

    def state_bytes(self, length: int) -> int:
        return self.logit.nbytes


@final
@dataclass(frozen=True, kw_only=True)
class LeakyIntegrator(Model):
    decay: float = 0.9

    def build(self, *, width: int, length: int, causal: bool) -> Leaky:
        return Leaky(width, self.decay, causal)
