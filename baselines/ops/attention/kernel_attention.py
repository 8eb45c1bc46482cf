"""Attention whose weights are products of positive features, so that sums over keys make a state.

y_i = sum_j phi_q(q_i).phi_k(k_j) v_j / sum_j phi_q(q_i).phi_k(k_j), over all j, or over j <= i
(Katharopoulos et al. 2020, "Transformers are RNNs"). The state
sum_j phi_k(k_j) [v_j, 1]^T holds both sums.

Axes: b batch, l length, h heads, e features of a head, f features of the kernel, w = e + 1.
"""

from abc import ABC, abstractmethod
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.scans.checkpointed_scan import checkpointed_scan

CHUNK = 64
"""Positions whose scores are held at once; between chunks only the state goes on."""
SEGMENT = 4096
"""Positions of the whole batch whose features are held at once."""


class FeatureMap(nn.Module, ABC):
    """Two maps of (..., e) to (..., f) numbers that are not negative."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        """f, features of the kernel."""

    @abstractmethod
    def queries(self, q: Tensor) -> Tensor:
        """Map queries, each up to a factor of its own, which cancels."""

    @abstractmethod
    def keys(self, k: Tensor) -> Tensor:
        """Map keys, all up to one factor."""


def causal_attend(
    q: Float[Tensor, "b l h e"],
    k: Float[Tensor, "b l h e"],
    v: Float[Tensor, "b l h e"],
    state: Float[Tensor, "b h f w"],
    features: FeatureMap,
) -> tuple[Float[Tensor, "b l h e"], Float[Tensor, "b h f w"]]:
    """Attend to the past in chunks: scores within one, the state before it.

    Time and memory are linear in the length; the gradient recomputes features and scores.

    Returns:
        The mixed values, and the state after the last position.
    """
    recurrence = partial(_continued, features)
    y, (state,) = checkpointed_scan(recurrence, _segment(q), (state,), (q, k, _with_ones(v)))
    return y, state


def global_attend(
    q: Float[Tensor, "b l h e"],
    k: Float[Tensor, "b l h e"],
    v: Float[Tensor, "b l h e"],
    valid: Bool[Tensor, "b l"] | None,
    features: FeatureMap,
) -> Float[Tensor, "b l h e"]:
    """Attend to all valid positions: one state for every query."""
    values = _with_ones(v)
    if valid is not None:
        values = values.masked_fill(~valid[..., None, None], 0)
    nothing = values.new_zeros(len(v), v.shape[2], features.count, values.shape[-1])
    _, state = checkpointed_scan(partial(_summed, features), _segment(q), (nothing,), (k, values))
    return checkpointed_scan(partial(_read, features), _segment(q), state, (q,))[0]


def recurrent_attend(
    q: Float[Tensor, "b l h e"],
    k: Float[Tensor, "b l h e"],
    v: Float[Tensor, "b l h e"],
    state: Float[Tensor, "b h f w"],
    features: FeatureMap,
) -> tuple[Float[Tensor, "b l h e"], Float[Tensor, "b h f w"]]:
    """Take the positions one by one, a twin of `causal_attend`."""
    outputs = []
    for now in range(q.shape[1]):
        key, value = features.keys(k[:, now]), _with_ones(v[:, now])
        state = state + torch.einsum("bhf,bhw->bhfw", key, value)
        read = torch.einsum("bhf,bhfw->bhw", features.queries(q[:, now]), state)
        outputs.append(read[..., :-1] / read[..., -1:])
    return torch.stack(outputs, 1), state


def kernel_attention_step(
    q: Float[Tensor, "b h e"],
    k: Float[Tensor, "b h e"],
    v: Float[Tensor, "b h e"],
    state: Float[Tensor, "b h f w"],
    features: FeatureMap,
) -> tuple[Float[Tensor, "b h e"], Float[Tensor, "b h f w"]]:
    """Advance one position without gradients; returns the output and the state, made in place."""
    state.addcmul_(features.keys(k)[..., None], _with_ones(v)[..., None, :])
    return _ratio((features.queries(q)[..., None, :] @ state).squeeze(-2)), state


def quadratic_attend(
    q: Float[Tensor, "b l h e"],
    k: Float[Tensor, "b l h e"],
    v: Float[Tensor, "b l h e"],
    valid: Bool[Tensor, "b l"] | None,
    features: FeatureMap,
    *,
    causal: bool,
) -> Float[Tensor, "b l h e"]:
    """Attend with all scores held, the twin of `causal_attend` and `global_attend`."""
    scores = torch.einsum("blhf,bmhf->bhlm", features.queries(q), features.keys(k))
    if valid is not None:
        scores = scores * valid[:, None, None]
    scores = scores.tril() if causal else scores
    return torch.einsum("bhlm,bmhe->blhe", scores / scores.sum(-1, keepdim=True), v)


def _continued(
    features: FeatureMap, start: tuple[Tensor], q: Tensor, k: Tensor, values: Tensor
) -> tuple[Tensor, tuple[Tensor]]:
    """Attend within a segment and to what is before it; padding has no weight among the values."""
    (state,) = start
    length = q.shape[1]
    chunk = min(CHUNK, length)
    q, k, values = (_chunked(x, chunk) for x in (q, k, values))
    q, k = features.queries(q), features.keys(k)
    states = torch.cat([state[:, :, None], k.mT @ values], 2).cumsum(2)
    sums = (q @ k.mT).tril() @ values + q @ states[:, :, :-1]
    y = _ratio(sums).permute(0, 2, 3, 1, 4).flatten(1, 2)[:, :length]
    # The last state is copied, or it would keep the memory of all of them.
    return y, (states[:, :, -1].clone(),)


def _summed(
    features: FeatureMap, start: tuple[Tensor], k: Tensor, values: Tensor
) -> tuple[Tensor, tuple[Tensor]]:
    """Add a segment to the state, and put nothing out."""
    added = torch.einsum("blhf,blhw->bhfw", features.keys(k), values)
    return values[..., :0], (start[0] + added,)


def _read(features: FeatureMap, state: tuple[Tensor], q: Tensor) -> tuple[Tensor, tuple[Tensor]]:
    """Read the state for the queries of a segment."""
    return _ratio(torch.einsum("blhf,bhfw->blhw", features.queries(q), *state)), state


def _with_ones(v: Tensor) -> Tensor:
    return F.pad(v, (0, 1), value=1.0)


def _ratio(sums: Tensor) -> Tensor:
    """Divide by the sum of the weights, which may underflow where all features vanish."""
    return sums[..., :-1] / sums[..., -1:].clamp(min=torch.finfo(sums.dtype).tiny)


def _segment(q: Tensor) -> int:
    return CHUNK * max(1, SEGMENT // (CHUNK * len(q)))


def _chunked(x: Tensor, chunk: int) -> Tensor:
    """Cut (b, l, h, e) into (b, h, chunks, chunk, e), with zeros at the end."""
    padded = F.pad(x, (0, 0, 0, 0, 0, -x.shape[1] % chunk))
    chunks: Tensor = padded.unflatten(1, (-1, chunk))
    return chunks.permute(0, 3, 1, 2, 4)
