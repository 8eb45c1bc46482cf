"""The layer of the DeltaNets: a delta rule behind a short convolution, its outputs normed.

q, k, v = SiLU(conv(W u)), queries and keys brought to length one; beta = sigmoid(W_beta u), or
twice that, erases and writes; heads' outputs are normed, multiplied with a gate and projected. What
a recipe chooses are sizes and two maps of the input: the logarithms of the decays, and the gate. A
layer that is not causal runs the same convolution and rule over the sequence and its reversal and
adds both.

Axes: b batch, l length, d width, h heads, k key features, v value features, c channels, m taps but
one.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.convolution.causal_conv import causal_conv, causal_conv_step, last_inputs
from baselines.ops.layers.bidirectional import reverse_valid
from baselines.ops.layers.delta_decay import DeltaForm
from baselines.ops.scans.checkpointed_scan import checkpointed_scan
from baselines.ops.scans.delta_rule import Gates, delta_rule, delta_step
from harness.api import Mixer

TAPS, EPS = 4, 1e-5
ROWS = 4096
"""Positions of the whole batch that are normed and projected at a time."""
SHORTEST = 1e-6
"""Added to the square of a key's length, so that the gradient of a zero is finite."""

Activation = Callable[[Tensor], Tensor]
DeltaState = tuple[Float[Tensor, "b h k v"], Float[Tensor, "b m c"]]


@final
class DeltaLayer(Mixer):
    """A delta rule with its projections."""

    def __init__(
        self,
        form: DeltaForm,
        decay: nn.Module,
        gate: nn.Module | None,
        activation: Activation = F.silu,
        *,
        causal: bool,
    ) -> None:
        """Build the layer.

        Args:
            form: Its sizes.
            decay: Maps the input to the (b, l, h, #k) logarithms of the decays.
            gate: Maps the input to what gates the normed outputs; None for no gate.
            activation: Makes of that what they are multiplied with.
            causal: Whether positions see the past only.
        """
        super().__init__()
        self.form, self.causal = form, causal
        self.parts = [form.width, form.steps * form.width, form.steps * form.values]
        self.in_proj = nn.Linear(form.width, sum(self.parts), bias=False)
        self.conv = nn.Parameter(torch.empty(sum(self.parts), TAPS).uniform_(-0.5, 0.5))
        self.beta_proj = nn.Linear(form.width, form.steps * form.heads, bias=False)
        self.decay, self.gate, self.activation = decay, gate, activation
        self.norm = nn.RMSNorm(form.values // form.heads, eps=EPS)
        self.out_proj = nn.Linear(form.values, form.width, bias=False)

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Apply the rule once, or once from each end of the valid positions."""
        y, _ = self._ruled(u, self._zeros(len(u)))
        if not self.causal:
            again, _ = self._ruled(reverse_valid(u, lengths), self._zeros(len(u)))
            y = y + reverse_valid(again, lengths)
        return self._mapped(y, u)

    def initial_state(self, batch: int) -> DeltaState:
        """Return zeros."""
        return self._zeros(batch)

    def advance(
        self, u: Float[Tensor, "b l d"], state: DeltaState
    ) -> tuple[Float[Tensor, "b l d"], DeltaState]:
        """Continue over a piece of a sequence, chunk by chunk."""
        y, state = self._ruled(u, state)
        return self._mapped(y, u), state

    def step(
        self, u: Float[Tensor, "b d"], state: DeltaState
    ) -> tuple[Float[Tensor, "b d"], DeltaState]:
        """Advance one position."""
        memory, window = state
        mixed, window = causal_conv_step(self.in_proj(u), self.conv, None, window)
        y, memory = delta_step(*self._signals(F.silu(mixed)), self._gates(u), memory)
        y, _ = _output(self.activation, (), *self._passed(y, u), *self._weights())
        return y, (memory, window)

    def _ruled(self, u: Tensor, state: DeltaState) -> tuple[Tensor, DeltaState]:
        memory, window = state
        mixed = self.in_proj(u)
        convolved = causal_conv(mixed, self.conv, None, window, silu=True)
        y, memory = delta_rule(*self._signals(convolved), self._gates(u), memory)
        return y, (memory, last_inputs(mixed, window))

    def _signals(self, mixed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values of heads."""
        q, k, v = mixed.split(self.parts, -1)
        q = q.unflatten(-1, (self.form.heads, -1))
        k, v = (part.unflatten(-1, (self.form.steps, self.form.heads, -1)) for part in (k, v))
        return unit(q) / math.sqrt(self.form.keys), unit(k), v

    def _gates(self, u: Tensor) -> Gates:
        share = self.beta_proj(u).sigmoid().unflatten(-1, (self.form.steps, self.form.heads, 1))
        beta = 2 * share if self.form.negative else share
        return Gates(self.decay(u), beta, beta)

    def _mapped(self, y: Tensor, u: Tensor) -> Tensor:
        # In pieces that are computed again, since what they keep inside is several times as much.
        rows, output = max(1, ROWS // max(1, len(y))), partial(_output, self.activation)
        return checkpointed_scan(output, rows, (), self._passed(y, u), self._weights())[0]

    def _passed(self, y: Tensor, u: Tensor) -> tuple[Tensor, ...]:
        return (y,) if self.gate is None else (y, self.gate(u))

    def _weights(self) -> tuple[Tensor, Tensor]:
        return self.norm.weight, self.out_proj.weight

    def _zeros(self, batch: int) -> DeltaState:
        form, window = self.form, self.conv.new_zeros(batch, TAPS - 1, len(self.conv))
        memory = self.conv.new_zeros(batch, form.heads, form.keys, form.values // form.heads)
        return memory, window


def unit(x: Float[Tensor, "*b k"]) -> Float[Tensor, "*b k"]:
    """Bring to length one."""
    return x * (x.square().sum(-1, keepdim=True) + SHORTEST).rsqrt()


def _output(
    activation: Activation, state: tuple[()], y: Tensor, *rest: Tensor
) -> tuple[Tensor, tuple[()]]:
    """Norm each head, gate all and project them; nothing goes on to the next position."""
    *gate, scale, matrix = rest
    normed = torch.rms_norm(y.to(scale), scale.shape, scale, EPS).flatten(-2)
    return F.linear(normed * activation(gate[0]) if gate else normed, matrix), state
