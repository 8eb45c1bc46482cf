"""KDA: the delta rule over a state whose key features decay on their own.

Kimi Team 2025, "Kimi Linear: An Expressive, Efficient Attention Architecture":
S_t = (I - beta_t k_t k_t^T) Diag(a_t) S_{t-1} + beta_t k_t v_t^T, y_t = S_t^T q_t, with unit keys;
the decays and the sigmoid that gates the output come from maps of low rank.
"""

from dataclasses import dataclass
from typing import ClassVar, final

from baselines.ops.layers.delta_decay import ChannelDecay, DeltaForm, low_rank
from baselines.ops.layers.delta_layer import DeltaLayer
from harness.api import Model, ParameterGroup, SpecError, Trunk


@final
@dataclass(frozen=True, kw_only=True)
class KDA(Model):
    """Kimi delta attention."""

    heads: int = 2
    """Heads, which share out the width."""
    negative: bool = False
    """Let beta reach 2, so that eigenvalues of a transition lie in [-1, 1] and not in [0, 1]."""

    trunk: ClassVar[Trunk] = Trunk(norm="rms", mix="none", ffn=8 / 3, ffn_form="swiglu")
    groups: ClassVar[dict[str, ParameterGroup]] = dict.fromkeys(
        ("A_log", "dt_bias"), ParameterGroup()
    )
    reference: ClassVar[str] = "kimi2025linear, yang2025gateddeltanet, grazzi2024negative"

    def __post_init__(self) -> None:
        if self.heads < 1:
            raise SpecError(f"heads must be positive, not {self.heads}.")

    def build(self, *, width: int, length: int, causal: bool) -> DeltaLayer:  # noqa: ARG002
        """Build the layer, if heads divide the width; it needs no length."""
        form = DeltaForm(width=width, heads=self.heads, negative=self.negative)
        gate = low_rank(form, form.values, bias=True)
        return DeltaLayer(form, ChannelDecay(form), gate, "sigmoid", causal=causal)
