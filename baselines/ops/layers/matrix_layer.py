"""What layers with matrix states share: two directions of time, and normed, gated outputs.

A recurrence over matrices of heads gives (b, l, h, v) outputs; those of each head are normed, all
are multiplied with a gate if there is one, and projected. A layer that is not causal runs the same
recurrence over the sequence and its reversal and adds both before the norm.

Axes: b batch, l length, d width, h heads, v value features, w those of all heads.
"""

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.forms import Form, chosen, on_gpu, triton
from baselines.ops.layers.bidirectional import reverse_valid
from baselines.ops.scans.checkpointed_scan import checkpointed_scan
from harness.api import Mixer, SpecError

EPS = 1e-5
ROWS = 4096
"""Positions of the whole batch that are normed and projected at a time."""

PIECE = 1 << 14
"""Positions of the whole batch that pass a causal layer at a time where nobody asks for a gradient:
what is made of them on the way is many times as wide as they are."""

Outputs = Float[Tensor, "b *l h v"]
Activation = Literal["silu", "sigmoid"]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"silu": F.silu, "sigmoid": torch.sigmoid}


class MatrixLayer(Mixer):
    """A recurrence over matrices between projections."""

    causal: bool
    gate: nn.Module | None
    activation: Activation
    norm: nn.RMSNorm
    out_proj: nn.Linear

    @abstractmethod
    def ran(self, u: Float[Tensor, "b l d"], state: Any) -> tuple[Outputs, Any]:
        """Run over a sequence, or what continues one; returns the state after it too."""

    @abstractmethod
    def stepped(self, u: Float[Tensor, "b d"], state: Any) -> tuple[Outputs, Any]:
        """Run over one position."""

    @abstractmethod
    def zeros(self, batch: int) -> Any:
        """Return the state before the first position, of either direction."""

    def end_with(
        self,
        width: int,
        shape: tuple[int, int],
        gate: nn.Module | None,
        activation: Activation = "silu",
    ) -> None:
        """Build what the outputs pass.

        Args:
            width: d.
            shape: h and v.
            gate: Maps the input to what gates the normed outputs; None for no gate.
            activation: Makes of that what they are multiplied with.
        """
        heads, values = shape
        self.gate, self.activation = gate, activation
        self.norm = nn.RMSNorm(values, eps=EPS)
        self.out_proj = nn.Linear(heads * values, width, bias=False)

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Run once, or once from each end of the valid positions."""
        if self.causal and not torch.is_grad_enabled():
            return self._in_pieces(u, self.zeros(len(u)))[0]
        y, _ = self.ran(u, self.zeros(len(u)))
        if not self.causal:
            again, _ = self.ran(reverse_valid(u, lengths), self.zeros(len(u)))
            y = y + reverse_valid(again, lengths)
        return self._mapped(y, u)

    def initial_state(self, batch: int) -> Any:
        """Return the state of nothing."""
        return self.zeros(batch)

    def advance(self, u: Float[Tensor, "b l d"], state: Any) -> tuple[Float[Tensor, "b l d"], Any]:
        """Continue over a piece of a sequence, chunk by chunk."""
        return self._in_pieces(u, state)

    def step(self, u: Float[Tensor, "b d"], state: Any) -> tuple[Float[Tensor, "b d"], Any]:
        """Advance one position."""
        y, state = self.stepped(u, state)
        gate = () if self.gate is None else (self.gate(u),)
        weights = self.norm.weight, self.out_proj.weight
        return _output(self.activation, (), y, *gate, *weights)[0], state

    def _in_pieces(self, u: Tensor, state: Any) -> tuple[Tensor, Any]:
        outputs = []
        for piece in u.split(max(1, PIECE // max(1, len(u))), 1):
            y, state = self.ran(piece, state)
            outputs.append(self._mapped(y, piece))
        return torch.cat(outputs, 1), state

    def _mapped(self, y: Tensor, u: Tensor) -> Tensor:
        gate = None if self.gate is None else self.gate(u)
        weights = self.norm.weight, self.out_proj.weight
        mapped: Tensor = chosen(FORMS, y).run(y, gate, *weights, activation=self.activation)
        return mapped


def head_features(features: int, heads: int) -> int:
    """Return the features of a head.

    Raises:
        SpecError: They do not divide.
    """
    if features % heads:
        raise SpecError(
            f"{features} features do not divide into {heads} heads; choose another number of heads "
            f"or another width."
        )
    return features // heads


def pieced_output(
    y: Float[Tensor, "b l h v"],
    gate: Float[Tensor, "b l w"] | None,
    scale: Float[Tensor, " v"],
    matrix: Float[Tensor, "d w"],
    *,
    activation: Activation,
) -> Float[Tensor, "b l d"]:
    """Norm each head, gate all and project, in torch.

    In pieces that are computed again, since what they keep inside is several times as much; in one
    on a GPU, where every piece is launches.
    """
    rows = y.shape[1] if on_gpu(y) else ROWS // max(1, len(y))
    passed, output = (y,) if gate is None else (y, gate), partial(_output, activation)
    return checkpointed_scan(output, max(1, rows), (), passed, (scale, matrix))[0]


FORMS = triton("normed_output"), Form("torch", pieced_output)


def _output(
    activation: Activation, state: tuple[()], y: Tensor, *rest: Tensor
) -> tuple[Tensor, tuple[()]]:
    """Norm each head, gate all and project them; nothing goes on to the next position."""
    *gate, scale, matrix = rest
    normed = torch.rms_norm(y.to(scale), scale.shape, scale, EPS).flatten(-2)
    return F.linear(normed * ACTIVATIONS[activation](gate[0]) if gate else normed, matrix), state
