"""What a model's paper puts around its mixer, and which of its parameters train apart."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Trunk:
    """What a model's paper puts around its mixer in every block of the backbone."""

    prenorm: bool = True
    """Normalise the block's input (and the network's end) instead of the residual sum."""
    norm: Literal["layer", "rms", "batch"] = "layer"
    """Over a position's features, their root mean square, or a feature's valid positions."""
    mix: Literal["glu", "half-glu", "linear", "none"] = "glu"
    """Position-wise map after the mixer: GELU and a gated linear unit, GELU and a gate made of its
    own result (S5), GELU and a linear map, nothing."""
    ffn: float = 0.0
    """Hidden width of a feed-forward sub-block, as a multiple of the width; 0 for none."""
    ffn_form: Literal["gelu", "swiglu"] = "gelu"
    """Two linear maps around a GELU, or a SiLU-gated linear unit and a linear map."""


@dataclass(frozen=True, kw_only=True)
class ParameterGroup:
    """Optimiser settings for parameters that train apart from the others."""

    lr: float | None = None
    """Learning rate, which the protocol scales and schedules; None for that of the others."""
    weight_decay: float | None = 0.0
    """None for the protocol's."""
