"""The normalisations of a block, with one face: (b, l, d) features and their valid lengths.

A step of generation waits for every line of Python behind a large product, so torch's operators are
called without the functions and modules around them, which cost three times what they call.

Axes: b batch, l length, d width.
"""

from collections.abc import Callable, Mapping
from typing import final

import torch
from torch import Tensor, nn

from harness.nn.parameter_versions import own_tensors, tensor_versions

SINGLE = 4
"""Bytes of a number in single precision; with fewer, torch's own order of operations is kept."""


@final
class LayerNorm(nn.LayerNorm):
    """Over a position's features (arXiv 1607.06450)."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Normalise every position on its own."""
        return torch.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


@final
class RMSNorm(nn.RMSNorm):
    """By the root mean square of a position's features (arXiv 1910.07467)."""

    def __init__(self, width: int, eps: float | None = None) -> None:
        super().__init__(width, eps)
        self._smallest: dict[torch.dtype, Tensor] = {}

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Normalise every position on its own."""
        if x.ndim == 2 and x.is_cpu and x.dtype == self.weight.dtype and x.itemsize >= SINGLE:
            return self._of_one(x)
        return torch.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def _of_one(self, x: Tensor) -> Tensor:
        """Normalise one position: half of torch's operators, of which it has eight on a CPU."""
        eps = self._smallest.get(x.dtype)
        if eps is None:
            least = torch.finfo(x.dtype).eps if self.eps is None else self.eps
            eps = torch.tensor(least, dtype=x.dtype)
            self._smallest[x.dtype] = eps
        norm = torch.linalg.vector_norm(x, 2, -1, True)
        scale = torch.addcmul(eps, norm, norm, value=1 / x.shape[-1]).rsqrt_()
        return (x * scale).mul_(self.weight)


@final
class BatchNorm(nn.BatchNorm1d):
    """Over a feature's valid positions of the whole batch (arXiv 1502.03167).

    Padding counts neither towards the statistics nor is it normalised, unlike in the code of S4 and
    S5. In evaluation, and for a single step of generation, the running statistics stand in.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self._held: tuple[object, tuple[Tensor, ...]] = None, ()

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Normalise (b, l, d) features, or, for generation, (b, d) ones without gradients."""
        if x.ndim == 2:
            scale, shift = self._folded()
            return torch.addcmul(shift, x, scale).to(x.dtype)
        if lengths is None or not self.training:
            return super().forward(x.flatten(0, 1)).view_as(x)
        valid = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        return x.masked_scatter(valid[..., None], super().forward(x[valid]))

    def _folded(self) -> tuple[Tensor, ...]:
        """Return the factor and the summand of a step, made anew only when something has changed.

        With both at hand a step spares 15 microseconds, a tenth of S5's. A training writes the
        statistics where torch does not see it, but counts its batches where it does.
        """
        present = tensor_versions(own_tensors(self))
        if self._held[0] != present:
            mean, variance = self.running_mean, self.running_var
            assert mean is not None
            assert variance is not None
            exact = torch.promote_types(mean.dtype, torch.float32)
            with torch.no_grad():
                scale = self.weight.to(exact) * (variance.to(exact) + self.eps).rsqrt()
                self._held = present, (scale, self.bias - mean * scale)
        return self._held[1]


NORMS: Mapping[str, Callable[[int], nn.Module]] = {
    "layer": LayerNorm,
    "rms": RMSNorm,
    "batch": BatchNorm,
}
