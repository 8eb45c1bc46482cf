"""DeltaNet: linear attention that replaces what is stored under a key instead of adding to it.

Yang et al. 2024, "Parallelizing Linear Transformers with the Delta Rule over Sequence Length":
S_t = (I - beta_t k_t k_t^T) S_{t-1} + beta_t k_t v_t^T, y_t = S_t^T q_t, with unit keys. Grazzi et
al. 2024 let beta reach 2, and so the transitions' eigenvalues -1, without which no parity is kept.
"""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import nn

from baselines.ops.layers.delta_decay import DeltaForm, NoDecay
from baselines.ops.layers.delta_layer import DeltaLayer
from harness.api import Model, SpecError, Trunk


@final
@dataclass(frozen=True, kw_only=True)
class DeltaNet(Model):
    """Linear attention with the delta rule."""

    heads: int = 2
    """Heads, which share out the width."""
    negative: bool = False
    """Let beta reach 2, so that eigenvalues of a transition lie in [-1, 1] and not in [0, 1]."""
    gate: bool = False
    """Multiply the normed outputs with SiLU of a further projection."""

    trunk: ClassVar[Trunk] = Trunk(norm="rms", mix="none", ffn=8 / 3, ffn_form="swiglu")
    reference: ClassVar[str] = "yang2024deltanet, schlag2021fastweight, grazzi2024negative"

    def __post_init__(self) -> None:
        if self.heads < 1:
            raise SpecError(f"heads must be positive, not {self.heads}.")

    def build(self, *, width: int, length: int, causal: bool) -> DeltaLayer:  # noqa: ARG002
        """Build the layer, if heads divide the width; it needs no length."""
        form = DeltaForm(width=width, heads=self.heads, negative=self.negative)
        gate = nn.Linear(width, width, bias=False) if self.gate else None
        return DeltaLayer(form, NoDecay(form), gate, causal=causal)
