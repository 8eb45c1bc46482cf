"""Transformer: multi-head softmax attention, and a feed-forward block.

Vaswani et al. 2017, "Attention Is All You Need"; rotary positions: Su et al. 2021, "RoFormer";
fewer heads of keys and values: Ainslie et al. 2023, "GQA". Not causal, every position sees all.
Sinusoidal positions are added to the input of every layer, not of the first alone.

Axes: b batch, l length, d width.
"""

from dataclasses import dataclass
from typing import ClassVar, final

from baselines.ops.attention.heads import Heads, Positions
from baselines.ops.layers.attention_layer import AttentionLayer, Backend
from harness.api import Model, SpecError, Trunk


@final
@dataclass(frozen=True, kw_only=True)
class Transformer(Model):
    """Attention over all positions, or over the past."""

    heads: int = 4
    """Heads of the attention."""
    kv_heads: int = 0
    """Heads of keys and values, each for a group of the queries' heads; 0 for one each."""
    positions: Positions = "rotary"
    """Turn queries and keys, add sinusoids to the input of every layer, or leave positions out."""
    backend: Backend = "auto"
    """`auto`: torch's fused attention, on every device."""

    trunk: ClassVar[Trunk] = Trunk(mix="none", ffn=4.0)
    reference: ClassVar[str] = "vaswani2017attention, su2021roformer, ainslie2023gqa"

    def __post_init__(self) -> None:
        if self.heads < 1:
            raise SpecError(f"heads must be positive, not {self.heads}.")
        if self.kv_heads < 0 or self.heads % (self.kv_heads or self.heads):
            raise SpecError(f"kv_heads must divide heads, {self.heads}, not be {self.kv_heads}.")

    def build(self, *, width: int, length: int, causal: bool) -> AttentionLayer:  # noqa: ARG002
        """Build the layer; it needs no length.

        Raises:
            SpecError: The width does not divide into the heads.
        """
        heads = Heads(width, self.heads, self.kv_heads or self.heads, self.positions)
        return AttentionLayer(width, heads, self.backend, causal=causal)
