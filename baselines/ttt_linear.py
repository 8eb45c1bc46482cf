"""TTT-Linear: a linear model as the state, trained on each sequence as it goes by.

Sun et al. 2024, "Learning to (Learn at Test Time): RNNs with Expressive Hidden States". Each head
learns to make values of keys, one step of gradient descent a position, and is asked with queries;
where it begins, its norm and its learning rates are trained with the rest. The paper is causal; a
bidirectional layer trains on the sequence and on its reversal and adds both answers.

Axes: b batch, l length, d width, h heads, e features of a head, f features with a constant (e + 1).
"""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from baselines.ops.layers.bidirectional import reverse_valid
from baselines.ops.scans.ttt_linear import (
    MINI_BATCH,
    InnerModel,
    InnerNorm,
    Step,
    normed,
    ttt_linear,
    ttt_step,
)
from harness.api import Mixer, Model, SpecError, Trunk, counted

TTTState = tuple[Float[Tensor, "b h f e"], Float[Tensor, "b h f e"], Int[Tensor, ""]]
"""The inner model where its mini-batch began and now, and the positions so far."""


@final
@dataclass(frozen=True, kw_only=True)
class TTTLinear(Model):
    """An inner linear model for each head."""

    heads: int = 2
    """Heads, which share out the width."""
    base_lr: float = 1.0
    """The largest inner learning rate, before it is shared out over a head's features."""

    trunk: ClassVar[Trunk] = Trunk(norm="rms", mix="none", ffn=8 / 3, ffn_form="swiglu")
    reference: ClassVar[str] = "sun2024ttt"

    def __post_init__(self) -> None:
        if self.heads < 1:
            raise SpecError(f"heads must be positive, not {self.heads}.")
        if not self.base_lr > 0:
            raise SpecError(f"base_lr must be above zero, not {self.base_lr}.")

    def build(self, *, width: int, length: int, causal: bool) -> "TTTLayer":  # noqa: ARG002
        """Build the layer; it needs no length.

        Raises:
            SpecError: The width does not divide into the heads.
        """
        if width % self.heads:
            raise SpecError(
                f"A width of {width} does not divide into {self.heads} heads; choose another "
                f"number of heads."
            )
        return TTTLayer(width, self.heads, self.base_lr, causal=causal)


@final
class TTTLayer(Mixer):
    """The mixer of TTT-Linear."""

    def __init__(self, width: int, heads: int, base_lr: float, *, causal: bool) -> None:
        super().__init__()
        features = width // heads
        self.causal, self.heads, self.fastest = causal, heads, base_lr / features
        self.in_proj = nn.Linear(width, 3 * width, bias=False)
        self.eta_proj = nn.Linear(width, heads)
        self.begin = nn.Parameter(0.02 * torch.randn(heads, features, features))
        self.begin_bias = nn.Parameter(torch.zeros(heads, 1, features))
        self.inner_weight = nn.Parameter(torch.ones(heads, features))
        self.inner_bias = nn.Parameter(torch.zeros(heads, features))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.out_proj = nn.Linear(width, width, bias=False)

    def forward(
        self, u: Float[Tensor, "b l d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b l d"]:
        """Train on the sequence once, or once from each end of the valid positions."""
        step = self._step(u)
        y = self._answers(step, ttt_linear(step, self._inner(), self._begun(len(u)))[0])
        if not self.causal:
            step = Step(*(reverse_valid(part, lengths) for part in step))
            z, _ = ttt_linear(step, self._inner(), self._begun(len(u)))
            y = y + reverse_valid(self._answers(step, z), lengths)
        return self._mapped(y)

    def initial_state(self, batch: int) -> TTTState:
        """Return the model that every sequence begins with."""
        model = self._begun(batch)
        return model.begun.detach().clone(), model.now.detach().clone(), torch.tensor(0)

    def advance(
        self, u: Float[Tensor, "b l d"], state: TTTState
    ) -> tuple[Float[Tensor, "b l d"], TTTState]:
        """Finish the mini-batch that is open, then go on by whole ones."""
        outputs = []
        while u.shape[1] and int(state[2]) % MINI_BATCH:
            y, state = self.step(u[:, 0], state)
            outputs.append(y[:, None])
            u = u[:, 1:]
        if u.shape[1]:
            step = self._step(u)
            z, model = ttt_linear(step, self._inner(), InnerModel(state[1], state[1]))
            outputs.append(self._mapped(self._answers(step, z)))
            # Steps work in place, so the two never share memory.
            state = model.begun.clone(), model.now.clone(), state[2] + u.shape[1]
        return torch.cat(outputs, 1), state

    def step(
        self, u: Float[Tensor, "b d"], state: TTTState
    ) -> tuple[Float[Tensor, "b d"], TTTState]:
        """Train on one position and ask."""
        begun, now, count = state
        place = counted(count) % MINI_BATCH
        if not isinstance(place, int):
            begun.copy_(torch.where(place == 0, now, begun))
        elif place == 0:
            begun.copy_(now)
        step = Step(*(part.to(now.dtype) for part in self._step(u)))
        z = ttt_step(step, self._inner(), InnerModel(begun, now))
        return self._mapped(self._answers(step, z)), (begun, now, count + 1)

    def _step(self, u: Tensor) -> Step:
        heads = (self.heads, u.shape[-1] // self.heads)
        q, k, v = (part.unflatten(-1, heads) for part in self.in_proj(u).chunk(3, -1))
        return Step(q, k, v, self.fastest * self.eta_proj(u).sigmoid()[..., None])

    def _inner(self) -> InnerNorm:
        return InnerNorm(self.inner_weight, self.inner_bias)

    def _begun(self, batch: int) -> InnerModel:
        whole = torch.cat([self.begin, self.begin_bias], 1).expand(batch, -1, -1, -1)
        return InnerModel(whole, whole)

    def _answers(self, step: Step, z: Tensor) -> Tensor:
        """Return q + norm(z), what the inner model makes of the queries."""
        return step.q + normed(z, self._inner())

    def _mapped(self, y: Tensor) -> Tensor:
        mapped: Tensor = self.out_proj(self.norm(y.flatten(-2)).to(self.out_proj.weight.dtype))
        return mapped
