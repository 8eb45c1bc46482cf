"""Linear attention: the softmax replaced by a product of features, so the past fits in a state.

Katharopoulos et al. 2020, "Transformers are RNNs: Fast Autoregressive Transformers with Linear
Attention", with phi(x) = elu(x) + 1. Not causal, all queries read one sum over all
keys. Sinusoidal positions are added to the input of every layer.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.attention.heads import Heads
from baselines.ops.attention.kernel_attention import FeatureMap
from baselines.ops.layers.kernel_attention_layer import KernelAttentionLayer
from harness.api import Model, SpecError, Trunk


@final
@dataclass(frozen=True, kw_only=True)
class LinearAttention(Model):
    """Attention with the feature map elu + 1."""

    heads: int = 4
    """Heads of the attention."""
    positions: Literal["sinusoidal", "none"] = "sinusoidal"
    """Add sinusoids to the input of every layer, or leave positions out."""

    trunk: ClassVar[Trunk] = Trunk(mix="none", ffn=4.0)
    reference: ClassVar[str] = "katharopoulos2020linear"

    def __post_init__(self) -> None:
        if self.heads < 1:
            raise SpecError(f"heads must be positive, not {self.heads}.")

    def build(self, *, width: int, length: int, causal: bool) -> KernelAttentionLayer:  # noqa: ARG002
        """Build the layer; it needs no length.

        Raises:
            SpecError: The width does not divide into the heads.
        """
        heads = Heads(width, self.heads, self.heads, self.positions)
        return KernelAttentionLayer(width, heads, EluPlusOne(heads.features), causal=causal)


@final
class EluPlusOne(FeatureMap):
    """phi(x) = elu(x) + 1, for queries and keys alike."""

    def queries(self, q: Float[Tensor, "... e"]) -> Float[Tensor, "... e"]:
        """Map queries."""
        return F.elu(q) + 1

    def keys(
        self, k: Float[Tensor, "... e"]
    ) -> tuple[Float[Tensor, "... e"], Float[Tensor, "..."]]:
        """Map keys, whose factors are one."""
        return F.elu(k) + 1, k.new_zeros(k.shape[:-1])
