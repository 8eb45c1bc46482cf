"""The sizes of a delta layer, and the maps of its input to the logarithms of the state's decays.

Axes: b batch, l length, d width, h heads, k key features.
"""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.forms import Form, chosen, triton
from baselines.ops.ssm.discretisation import inverse_softplus, log_uniform
from harness.api import SpecError


@final
@dataclass(frozen=True, kw_only=True)
class DeltaForm:
    """The sizes of a layer."""

    width: int
    """Of the input, and of the keys of all heads."""
    heads: int
    """Heads, which share out the keys and the values."""
    expand_v: int = 1
    """Features of a head's values, as a multiple of those of its keys."""
    steps: int = 1
    """Steps of the rule that a position takes, each with its own key, value and beta."""
    negative: bool = False
    """Whether beta reaches 2, and eigenvalues of transitions -1."""

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise SpecError(
                f"A width of {self.width} does not divide into {self.heads} heads; choose another "
                f"number of heads."
            )

    @property
    def keys(self) -> int:
        """Features of a head's keys."""
        return self.width // self.heads

    @property
    def values(self) -> int:
        """Features of the values of all heads."""
        return self.expand_v * self.width

    @property
    def parts(self) -> list[int]:
        """Features of a position's queries, keys and values."""
        return [self.width, self.steps * self.width, self.steps * self.values]


@final
class NoDecay(nn.Module):
    """Keeps what is not erased."""

    def __init__(self, form: DeltaForm) -> None:
        super().__init__()
        self.heads = form.heads

    def forward(self, u: Float[Tensor, "b *l d"]) -> Float[Tensor, "b *l h 1"]:
        """Return zeros, the logarithms of one."""
        return u.new_zeros(*u.shape[:-1], self.heads, 1)


@final
class HeadDecay(nn.Module):
    """Decays of Mamba-2: one a head, -exp(A_log) softplus(W u + dt_bias)."""

    def __init__(self, form: DeltaForm) -> None:
        super().__init__()
        self.proj = nn.Linear(form.width, form.heads, bias=False)
        self.A_log = nn.Parameter(torch.empty(form.heads).uniform_(0, 16).log())
        self.dt_bias = nn.Parameter(inverse_softplus(log_uniform(1e-3, 1e-1, form.heads).exp()))

    def step_sizes(self, u: Float[Tensor, "b *l d"]) -> Float[Tensor, "b *l h 1"]:
        """Return what A is multiplied with."""
        dt = F.softplus(self.proj(u).to(self.dt_bias.dtype) + self.dt_bias)
        return dt[..., None]

    def of(self, step_sizes: Float[Tensor, "b *l h 1"]) -> Float[Tensor, "b *l h 1"]:
        """Return the logarithms of the decays over steps."""
        return step_sizes * -self.A_log.exp()[:, None]

    def forward(self, u: Float[Tensor, "b *l d"]) -> Float[Tensor, "b *l h 1"]:
        """Return the logarithms of the decays."""
        logits, bias = self.proj(u)[..., None], self.dt_bias[:, None]
        decays: Tensor = chosen(FORMS, logits).run(logits, bias, self.A_log[:, None])
        return decays


@final
class ChannelDecay(nn.Module):
    """Decays of KDA: one a key feature, from a map of low rank; A is shared by a head."""

    def __init__(self, form: DeltaForm) -> None:
        super().__init__()
        self.proj = low_rank(form, form.width, bias=False)
        self.A_log = nn.Parameter(torch.empty(form.heads, 1).uniform_(1, 16).log())
        self.dt_bias = nn.Parameter(torch.zeros(form.heads, form.keys))

    def forward(self, u: Float[Tensor, "b *l d"]) -> Float[Tensor, "b *l h k"]:
        """Return the logarithms of the decays."""
        logits = self.proj(u).unflatten(-1, self.dt_bias.shape)
        decays: Tensor = chosen(FORMS, logits).run(logits, self.dt_bias, self.A_log)
        return decays


def torch_log_decays(
    logits: Float[Tensor, "b *l h k"], dt_bias: Float[Tensor, "h k"], A_log: Float[Tensor, "h 1"]
) -> Float[Tensor, "b *l h k"]:
    """Return -exp(A_log) softplus(logits + dt_bias), in the precision of the parameters."""
    return F.softplus(logits.to(dt_bias.dtype) + dt_bias) * -A_log.exp()


FORMS = triton("log_decays"), Form("torch", torch_log_decays)


def low_rank(form: DeltaForm, features: int, *, bias: bool) -> nn.Module:
    """Build a map of the input through as many features as a head's values have."""
    rank = form.values // form.heads
    inner, outer = nn.Linear(form.width, rank, bias=False), nn.Linear(rank, features, bias=bias)
    return nn.Sequential(inner, outer)
