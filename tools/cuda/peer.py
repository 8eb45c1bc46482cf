"""Other people's layers, measured in the place of ours; a plugin (`--plugin tools/cuda/peer.py`).

`flex-windows` is what `local-attention` computes, through torch's FlexAttention. Where `mamba_ssm`
and `fla` are installed, others are their layers as their authors build them, and ours with their
kernels in the place of our own, beside which they stand in the report.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal, final
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from baselines.ops.attention.heads import Heads
from baselines.ops.kernels.installed import SWITCH
from harness.api import Mixer, Model, SpecError, UnsupportedError, load_model

Layer = Literal[
    "flex-windows",
    "mamba-ssm",
    "mamba-ssm-2",
    "fla-gla",
    "fla-hgrn2",
    "mamba-by-mamba_ssm",
    "gated-deltanet-by-fla",
    "gla-by-fla",
    "hgrn2-by-fla",
    "kda-by-fla",
    "mamba2-by-fla",
    "mamba2-by-mamba_ssm",
]
CLASSES: Mapping[str, tuple[str, str, str]] = {
    "mamba-ssm": ("mamba_ssm", "Mamba", "d_model"),
    "mamba-ssm-2": ("mamba_ssm", "Mamba2", "d_model"),
    "fla-gla": ("fla.layers", "GatedLinearAttention", "hidden_size"),
    "fla-hgrn2": ("fla.layers", "HGRN2Attention", "hidden_size"),
}
"""Where a layer is, and what it calls its width."""
CHUNK = 1024
"""Positions of a window, as `local-attention` has them."""


def package(layer: str) -> str:
    """Return the package that a layer comes from, or whose kernels it is asked to run by."""
    if layer in CLASSES:
        return CLASSES[layer][0].partition(".")[0]
    return layer.partition("-by-")[2] or "torch"


def installed(layer: str) -> bool:
    """Say whether a layer can be asked for."""
    return find_spec(package(layer)) is not None


@final
class Wrapped(Mixer):
    """Somebody's layer, whose first output is the mixed features."""

    def __init__(self, layer: nn.Module, name: str) -> None:
        super().__init__()
        self.layer, self.name = layer, name

    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Mix (b, l, d); nothing here is padded."""
        found = self.layer(u)
        mixed: Tensor = found[0] if isinstance(found, tuple) else found
        return mixed

    def path(self) -> str:
        """Name the layer."""
        return self.name


@final
class ByOthers(Mixer):
    """A layer of ours whose recurrence another package's kernels run."""

    def __init__(self, layer: Mixer, package: str) -> None:
        super().__init__()
        self.layer, self.package = layer, package

    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Mix (b, l, d).

        Raises:
            UnsupportedError: These kernels do not compute in this precision.
        """
        with mock.patch.dict(os.environ, {SWITCH: f"{self.package},triton"}):
            if self.layer.path() != self.package:
                raise UnsupportedError(f"{self.package} rounds products; ask for bf16-mixed.")
            mixed: Tensor = self.layer(u, lengths)
        return mixed

    def path(self) -> str:
        """Name whose kernels run."""
        return self.package


@final
class FlexWindows(nn.Module):
    """Softmax attention to the own window, up to the position, and to the window before it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = Heads(width, 4, 4, "rotary")
        self.out = nn.Linear(width, width)
        self.attend: Callable[..., Tensor] = torch.compile(flex_attention)
        self.masks: dict[int, Any] = {}

    def forward(self, u: Tensor) -> Tensor:
        """Attend; the first call at a length compiles, which is not timed."""
        length = u.shape[1]
        if length not in self.masks:
            self.masks[length] = create_block_mask(
                _windows, None, None, length, length, device=u.device
            )
        q, k, v = (x.transpose(1, 2) for x in self.heads(u))
        mixed = self.attend(q, k, v, block_mask=self.masks[length]).transpose(1, 2)
        mapped: Tensor = self.out(mixed.flatten(2))
        return mapped


def _windows(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:  # noqa: ARG001
    return (q >= k) & (q // CHUNK - k // CHUNK <= 1)


@final
@dataclass(frozen=True, kw_only=True)
class Peer(Model):
    """A layer that is not ours."""

    layer: Layer = "flex-windows"
    """Which."""

    def build(self, *, width: int, length: int, causal: bool) -> Mixer:
        """Build it, causal, with its authors' defaults.

        Raises:
            SpecError: It is not installed, or is asked to see the future.
        """
        if not causal:
            raise SpecError("These layers are causal; give them a causal task.")
        if not installed(self.layer):
            raise SpecError(f"{self.layer} is not installed; leave it out.")
        if self.layer == "flex-windows":
            return Wrapped(FlexWindows(width), self.layer)
        if self.layer not in CLASSES:
            recipe = load_model(self.layer.partition("-by-")[0])
            ours = recipe.build(width=width, length=length, causal=True)
            return ByOthers(ours, package(self.layer))
        module, name, size = CLASSES[self.layer]
        return Wrapped(getattr(import_module(module), name)(**{size: width}), self.layer)
