"""A leaky integrator: x_t = a x_{t-1} + (1 - a) u_t, each channel with a decay of its own."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.fft import irfft, rfft

from harness.api import Mixer, Model


class Leaky(Mixer):
    def __init__(self, width: int, decay: float) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.full((width,), decay).logit())

    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        length, a = u.shape[1], self.logit.sigmoid()
        kernel = (1 - a) * a ** torch.arange(length, device=u.device)[:, None]
        spectrum = rfft(kernel, 2 * length, dim=0) * rfft(u, 2 * length, dim=1)
        past: Tensor = irfft(spectrum, dim=1)[:, :length]
        return past

    def initial_state(self, batch: int) -> Tensor:
        return self.logit.new_zeros(batch, len(self.logit))

    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        state = torch.lerp(u, state, self.logit.sigmoid())
        return state, state


@final
@dataclass(frozen=True, kw_only=True)
class LeakyIntegrator(Model):
    decay: float = 0.9

    def build(self, *, width: int, length: int, causal: bool) -> Leaky:
        return Leaky(width, self.decay)
