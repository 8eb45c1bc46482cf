"""Gated DeltaProduct: several steps of the gated delta rule a position, each with its own key.

Siems et al. 2025, "DeltaProduct: Improving State-Tracking in Linear RNNs via Householder
Products": a transition is a_t (I - beta_n k_n k_n^T) ... (I - beta_1 k_1 k_1^T), with the decays
and the gated output of Gated DeltaNet. Where betas reach 2, a product of two such steps can rotate.
"""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn

from baselines.ops.layers.delta_decay import DeltaForm, HeadDecay
from baselines.ops.layers.delta_layer import DeltaLayer
from harness.api import Model, SpecError, Trunk


@final
@dataclass(frozen=True, kw_only=True)
class GatedDeltaProduct(Model):
    """Linear attention with several gated delta steps a position."""

    steps: int = 2
    """Steps of the rule that a position takes."""
    heads: int = 2
    """Heads, which share out the width."""
    expand_v: int = 2
    """Features of a head's values, as a multiple of those of its keys."""
    negative: bool = True
    """Let beta reach 2, so that eigenvalues of a step lie in [-1, 1] and not in [0, 1]."""

    trunk: ClassVar[Trunk] = Trunk(norm="rms", mix="none", ffn=8 / 3, ffn_form="swiglu")
    reference: ClassVar[str] = "siems2025deltaproduct, yang2025gateddeltanet, grazzi2024negative"

    def __post_init__(self) -> None:
        for option in ("steps", "heads", "expand_v"):
            if (value := getattr(self, option)) < 1:
                raise SpecError(f"{option} must be positive, not {value}.")

    def build(self, *, width: int, length: int, causal: bool) -> DeltaLayer:  # noqa: ARG002
        """Build the layer, if heads divide the width; it needs no length."""
        form = DeltaForm(
            width=width,
            heads=self.heads,
            expand_v=self.expand_v,
            steps=self.steps,
            negative=self.negative,
        )
        gate = nn.Linear(width, form.values, bias=False)
        return DeltaLayer(form, HeadDecay(form), gate, causal=causal)
