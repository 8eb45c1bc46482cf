"""Performer: softmax attention estimated by positive random features, in linear time.

Choromanski et al. 2021, "Rethinking Attention with Performers" (FAVOR+). With orthogonal random
directions w, exp(q.k) = E_w [exp(w.q - |q|^2/2) exp(w.k - |k|^2/2)]; q and k are
multiplied by e^(-1/4). The directions are drawn once. Not causal, all queries read one sum
over all keys.

Exponents of keys lie below zero by |k|^2/2, so from each key's its largest is subtracted, and
brought back relative to the largest of the past. The paper's code subtracts the largest of all
keys, through which a position sees the future's magnitude.

Axes: f random features, e features of a head.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from baselines.ops.attention.heads import Heads, Positions
from baselines.ops.attention.kernel_attention import FeatureMap
from baselines.ops.attention.random_features import random_features
from baselines.ops.layers.kernel_attention_layer import KernelAttentionLayer
from harness.api import Model, SpecError, Trunk


@final
@dataclass(frozen=True, kw_only=True)
class Performer(Model):
    """Attention by positive orthogonal random features."""

    heads: int = 4
    """Heads of the attention."""
    features: int = 128
    """Random directions, the same for all heads: more of them estimate softmax attention better."""
    positions: Positions = "rotary"
    """Turn queries and keys, add sinusoids to the input of every layer, or leave positions out."""

    trunk: ClassVar[Trunk] = Trunk(mix="none", ffn=4.0)
    reference: ClassVar[str] = "choromanski2021performer"

    def __post_init__(self) -> None:
        if min(self.heads, self.features) < 1:
            raise SpecError(
                f"heads and features must be positive, not {self.heads} and {self.features}."
            )

    def build(self, *, width: int, length: int, causal: bool) -> KernelAttentionLayer:  # noqa: ARG002
        """Build the layer and draw its directions; it needs no length.

        Raises:
            SpecError: The width does not divide into the heads.
        """
        heads = Heads(width, self.heads, self.heads, self.positions)
        features = RandomFeatures(self.features, heads.features)
        return KernelAttentionLayer(width, heads, features, causal=causal)


@final
class RandomFeatures(FeatureMap):
    """exp(w.x - |x|^2/2) for fixed directions w."""

    directions: Tensor

    def __init__(self, count: int, size: int) -> None:
        super().__init__(count)
        self.register_buffer("directions", orthogonal_directions(count, size))

    def queries(self, q: Float[Tensor, "... e"]) -> Float[Tensor, "... f"]:
        """Map queries, each divided by its largest feature, which cancels, as |q|^2/2 does."""
        return random_features(q, self.directions, keys=False)[0]

    def keys(
        self, k: Float[Tensor, "... e"]
    ) -> tuple[Float[Tensor, "... f"], Float[Tensor, "..."]]:
        """Map keys, each divided by its largest feature, whose logarithm is returned as well."""
        return random_features(k, self.directions, keys=True)


def orthogonal_directions(count: int, size: int) -> Float[Tensor, "f e"]:
    """Draw normal vectors that are orthogonal to each other in blocks of `size`.

    Each has the norm of an independent normal vector, so one by one they are normal.
    """
    blocks = []
    for _ in range(-(-count // size)):
        basis, triangle = torch.linalg.qr(torch.randn(size, size))
        # Signs make the basis uniform over all rotations.
        blocks.append(basis * triangle.diagonal().sign())
    norms = torch.randn(count, size).norm(dim=-1, keepdim=True)
    directions: Tensor = torch.cat(blocks, 1).mT[:count] * norms
    return directions
