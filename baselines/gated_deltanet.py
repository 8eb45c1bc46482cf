"""Gated DeltaNet: the delta rule over a state that decays by one number a head.

Yang et al. 2025, "Gated Delta Networks: Improving Mamba2 with Delta Rule":
S_t = a_t (I - beta_t k_t k_t^T) S_{t-1} + beta_t k_t v_t^T, y_t = S_t^T q_t, with unit keys, the
decays a_t of Mamba-2, and an output that a SiLU branch gates. Grazzi et al. 2024 let beta reach 2.
"""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn

from baselines.ops.layers.delta_decay import DeltaForm, HeadDecay
from baselines.ops.layers.delta_layer import DeltaLayer
from harness.api import Model, SpecError, Trunk


@final
@dataclass(frozen=True, kw_only=True)
class GatedDeltaNet(Model):
    """Linear attention with the gated delta rule."""

    heads: int = 2
    """Heads, which share out the width."""
    expand_v: int = 2
    """Features of a head's values, as a multiple of those of its keys."""
    negative: bool = False
    """Let beta reach 2, so that eigenvalues of a transition lie in [-1, 1] and not in [0, 1]."""

    trunk: ClassVar[Trunk] = Trunk(norm="rms", mix="none", ffn=8 / 3, ffn_form="swiglu")
    reference: ClassVar[str] = "yang2025gateddeltanet, yang2024deltanet, grazzi2024negative"

    def __post_init__(self) -> None:
        for option in ("heads", "expand_v"):
            if (value := getattr(self, option)) < 1:
                raise SpecError(f"{option} must be positive, not {value}.")

    def build(self, *, width: int, length: int, causal: bool) -> DeltaLayer:  # noqa: ARG002
        """Build the layer, if heads divide the width; it needs no length."""
        form = DeltaForm(
            width=width, heads=self.heads, expand_v=self.expand_v, negative=self.negative
        )
        gate = nn.Linear(width, form.values, bias=False)
        return DeltaLayer(form, HeadDecay(form), gate, causal=causal)
