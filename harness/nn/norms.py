"""The normalisations of a block, with one face: (b, l, d) features and their valid lengths.

Axes: b batch, l length, d width.
"""

from collections.abc import Callable, Mapping
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@final
class LayerNorm(nn.LayerNorm):
    """Over a position's features (arXiv 1607.06450)."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Normalise every position on its own."""
        return super().forward(x)


@final
class RMSNorm(nn.RMSNorm):
    """By the root mean square of a position's features (arXiv 1910.07467)."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Normalise every position on its own."""
        return super().forward(x)


@final
class BatchNorm(nn.BatchNorm1d):
    """Over a feature's valid positions of the whole batch (arXiv 1502.03167).

    Padding counts neither towards the statistics nor is it normalised, unlike in the code of S4 and
    S5. In evaluation, and for a single step of generation, the running statistics stand in.
    """

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Normalise (b, l, d) features, or, for generation, (b, d) ones."""
        if x.ndim == 2:
            known = self.running_mean, self.running_var, self.weight, self.bias
            return F.batch_norm(x, *known, eps=self.eps)
        if lengths is None or not self.training:
            return super().forward(x.flatten(0, 1)).view_as(x)
        valid = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        return x.masked_scatter(valid[..., None], super().forward(x[valid]))


NORMS: Mapping[str, Callable[[int], nn.Module]] = {
    "layer": LayerNorm,
    "rms": RMSNorm,
    "batch": BatchNorm,
}
