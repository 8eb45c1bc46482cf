"""The layer of the DeltaNets: a delta rule behind a short convolution, its outputs normed.

q, k, v = SiLU(conv(W u)), queries and keys brought to length one; beta = sigmoid(W_beta u), or
twice that, erases and writes. What a recipe chooses are sizes and two maps of the input: the
logarithms of the decays, and the gate.

Axes: b batch, l length, d width, h heads, k key features, v value features, c channels, m taps but
one.
"""

import math
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.convolution.causal_conv import causal_conv, causal_conv_step, last_inputs
from baselines.ops.forms import Form, chosen, triton
from baselines.ops.layers.delta_decay import DeltaForm
from baselines.ops.layers.matrix_layer import Activation, MatrixLayer, Outputs
from baselines.ops.scans.delta_rule import FORMS, Gates, delta_rule, delta_step

TAPS = 4
SHORTEST = 1e-6
"""Added to the square of a key's length, so that the gradient of a zero is finite."""

Signals = tuple[Float[Tensor, "b *l h k"], Float[Tensor, "b *l p h k"], Float[Tensor, "b *l p h v"]]
DeltaState = tuple[Float[Tensor, "b h k v"], Float[Tensor, "b m c"]]


@final
class DeltaLayer(MatrixLayer):
    """A delta rule with its projections."""

    def __init__(
        self,
        form: DeltaForm,
        decay: nn.Module,
        gate: nn.Module | None,
        activation: Activation = "silu",
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
        channels = sum(form.parts)
        self.in_proj = nn.Linear(form.width, channels, bias=False)
        self.conv = nn.Parameter(torch.empty(channels, TAPS).uniform_(-0.5, 0.5))
        self.beta_proj = nn.Linear(form.width, form.steps * form.heads, bias=False)
        self.decay = decay
        self.end_with(form.width, (form.heads, form.values // form.heads), gate, activation)

    def ran(self, u: Float[Tensor, "b l d"], state: DeltaState) -> tuple[Outputs, DeltaState]:
        """Apply the rule chunk by chunk."""
        memory, window = state
        mixed = self.in_proj(u)
        convolved = causal_conv(mixed, self.conv, None, window, silu=True)
        y, memory = delta_rule(*self._signals(convolved), self._gates(u), memory)
        return y, (memory, last_inputs(mixed, window))

    def stepped(self, u: Float[Tensor, "b d"], state: DeltaState) -> tuple[Outputs, DeltaState]:
        """Apply the rule once."""
        memory, window = state
        mixed, window = causal_conv_step(self.in_proj(u), self.conv, None, window)
        y, memory = delta_step(*self._signals(F.silu(mixed)), self._gates(u), memory)
        return y, (memory, window)

    def zeros(self, batch: int) -> DeltaState:
        """Return a memory that holds nothing, and inputs of zero."""
        form, window = self.form, self.conv.new_zeros(batch, TAPS - 1, len(self.conv))
        memory = self.conv.new_zeros(batch, form.heads, form.keys, form.values // form.heads)
        return memory, window

    def path(self) -> str:
        """Name the form of the rule."""
        steps, keys = self.form.steps, self.form.keys
        return chosen(FORMS, self.conv, shared=True, one_gate=True, steps=steps, keys=keys).name

    def _signals(self, mixed: Tensor) -> Signals:
        """Return queries, keys and values of heads."""
        signals: Signals = chosen(SIGNALS, mixed).run(mixed, self.form)
        return signals

    def _gates(self, u: Tensor) -> Gates:
        share = self.beta_proj(u).sigmoid().unflatten(-1, (self.form.steps, self.form.heads, 1))
        beta = 2 * share if self.form.negative else share
        return Gates(self.decay(u), beta, beta)


def split_signals(mixed: Float[Tensor, "b *l c"], form: DeltaForm) -> Signals:
    """Part what is convolved into queries, keys and values, the former two of their lengths."""
    q, k, v = mixed.split(form.parts, -1)
    q = q.unflatten(-1, (form.heads, -1))
    k, v = (part.unflatten(-1, (form.steps, form.heads, -1)) for part in (k, v))
    return unit(q, 1 / math.sqrt(form.keys)), unit(k), v


SIGNALS = triton("delta_signals"), Form("torch", split_signals)


def unit(x: Float[Tensor, "*b k"], length: float = 1.0) -> Float[Tensor, "*b k"]:
    """Bring to a length, by what norms the root of the mean square, which a GPU does at once."""
    features = x.shape[-1]
    scale = x.new_full((features,), length / math.sqrt(features))
    return F.rms_norm(x, (features,), scale, SHORTEST / features)
