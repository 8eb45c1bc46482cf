"""Attention whose weights are products of positive features, so that sums over keys make a state.

y_i = sum_j phi_q(q_i).phi_k(k_j) v_j / sum_j phi_q(q_i).phi_k(k_j), over all j, or over j <= i
(Katharopoulos et al. 2020, "Transformers are RNNs"). The state
sum_j phi_k(k_j) [v_j, 1]^T holds both sums.

Features of keys may be too large or small for their precision, so each key comes with the logarithm
of a factor, and sums are divided by the largest factor of their past, as an online softmax's are
(Milakov, Gimelshein 2018). It cancels, and nothing is seen of the future's.

Axes: b batch, l length, h heads, e features of a head, f features of the kernel, w = e + 1.
"""

from abc import ABC, abstractmethod
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ops.forms import Form, chosen, triton
from baselines.ops.scans.checkpointed_scan import checkpointed_scan
from baselines.ops.scans.ssd import FORMS as SSD_FORMS
from baselines.ops.scans.ssd import ssd

CHUNK = 64
"""Positions whose scores are held at once; between chunks only the state goes on."""
SEGMENT = 4096
"""Positions of the whole batch whose features are held at once."""
LEAST = -1000.0
"""Logarithm of a decay that leaves nothing, in sums of which others keep their digits."""


Sums = tuple[Float[Tensor, "b h f w"], Float[Tensor, "b h"]]
"""Sums over keys divided by the largest of their factors, and its logarithm."""


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
    def keys(self, k: Tensor) -> tuple[Tensor, Tensor]:
        """Map keys, each up to a factor of its own, and return the (...) logarithms of these too.

        Logarithms carry no gradient, for factors cancel.
        """


def empty_sums(like: Tensor, *shape: int) -> Sums:
    """Return the (b, h, f, w) sums over no keys, and the logarithm of the factor they stand for."""
    return like.new_zeros(shape), like.new_full(shape[:2], torch.finfo(like.dtype).min)


def causal_attend(
    q: Float[Tensor, "b l h e"],
    k: Float[Tensor, "b l h e"],
    v: Float[Tensor, "b l h e"],
    state: Sums,
    features: FeatureMap,
) -> tuple[Float[Tensor, "b l h e"], Sums]:
    """Attend to the past, in time and memory linear in the length.

    Returns:
        The mixed values, and the state after the last position.
    """
    widest = max(features.count, v.shape[-1] + 1)
    attended: tuple[Tensor, Sums] = chosen(FORMS, v, widest=widest).run(q, k, v, state, features)
    return attended


def scanned_attend(
    q: Float[Tensor, "b l h e"],
    k: Float[Tensor, "b l h e"],
    v: Float[Tensor, "b l h e"],
    state: Sums,
    features: FeatureMap,
) -> tuple[Float[Tensor, "b l h e"], Sums]:
    """Attend by the scan of Mamba-2: sums decay where the largest factor of their past grows."""
    (sums, scale), (key, factor) = state, features.keys(k)
    every = torch.cat([scale[:, None], factor], 1).cummax(1).values
    largest = every[:, 1:]
    decay = (every[:, :-1] - largest).clamp(min=LEAST)
    weights, query = (factor - largest).exp(), features.queries(q)
    y, sums = ssd(_with_ones(v), weights, decay, key, query, sums)
    return _ratio(y), (sums, largest[:, -1])


def chunked_attend(
    q: Float[Tensor, "b l h e"],
    k: Float[Tensor, "b l h e"],
    v: Float[Tensor, "b l h e"],
    state: Sums,
    features: FeatureMap,
) -> tuple[Float[Tensor, "b l h e"], Sums]:
    """Attend in chunks: scores within one, the state before it.

    The gradient recomputes features and scores.
    """
    recurrence = partial(_continued, features)
    y, (sums, scale) = checkpointed_scan(recurrence, _segment(q), state, (q, k, _with_ones(v)))
    return y, (sums, scale)


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
    nothing = empty_sums(values, len(v), v.shape[2], features.count, values.shape[-1])
    _, state = checkpointed_scan(partial(_summed, features), _segment(q), nothing, (k, values))
    return checkpointed_scan(partial(_read, features), _segment(q), state[:1], (q,))[0]


def recurrent_attend(
    q: Float[Tensor, "b l h e"],
    k: Float[Tensor, "b l h e"],
    v: Float[Tensor, "b l h e"],
    state: Sums,
    features: FeatureMap,
) -> tuple[Float[Tensor, "b l h e"], Sums]:
    """Take the positions one by one, a twin of `causal_attend`."""
    outputs = []
    for now in range(q.shape[1]):
        (key, factor), value = features.keys(k[:, now]), _with_ones(v[:, now])
        before, scale = state
        largest = torch.maximum(scale, factor)
        added = torch.einsum("bhf,bh,bhw->bhfw", key, (factor - largest).exp(), value)
        state = (scale - largest).exp()[..., None, None] * before + added, largest
        read = torch.einsum("bhf,bhfw->bhw", features.queries(q[:, now]), state[0])
        outputs.append(read[..., :-1] / read[..., -1:])
    return torch.stack(outputs, 1), state


FORMS = (
    *(Form(kernel.name, scanned_attend, kernel.fits) for kernel in SSD_FORMS[:-1]),
    Form("chunked", chunked_attend),
)


def kernel_attention_step(
    q: Float[Tensor, "b h e"],
    k: Float[Tensor, "b h e"],
    v: Float[Tensor, "b h e"],
    state: Sums,
    features: FeatureMap,
) -> tuple[Float[Tensor, "b h e"], Sums]:
    """Advance one position without gradients; returns the output and the state, made in place."""
    (sums, scale), (key, factor) = state, features.keys(k)
    largest = torch.maximum(scale, factor)
    key = key * (factor - largest).exp()[..., None]
    sums.mul_((scale - largest).exp()[..., None, None])
    sums.addcmul_(key[..., None], _with_ones(v)[..., None, :])
    return _ratio((features.queries(q)[..., None, :] @ sums).squeeze(-2)), (sums, largest)


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
    key, factor = features.keys(k)
    scores = torch.einsum("blhf,bmhf,bmh->bhlm", features.queries(q), key, factor.exp())
    if valid is not None:
        scores = scores * valid[:, None, None]
    scores = scores.tril() if causal else scores
    return torch.einsum("bhlm,bmhe->blhe", scores / scores.sum(-1, keepdim=True), v)


def _continued(
    features: FeatureMap, start: Sums, q: Tensor, k: Tensor, values: Tensor
) -> tuple[Tensor, Sums]:
    """Attend within a segment and to what is before it; padding has no weight among the values."""
    state, scale = start
    length = q.shape[1]
    chunk = min(CHUNK, length)
    q, k, values = (_chunked(x, chunk) for x in (q, k, values))
    q, (k, factor) = features.queries(q), _keys(features, k, values)
    largest = torch.maximum(factor.flatten(2).cummax(-1).values, scale[..., None]).view_as(factor)
    ends = torch.cat([scale[..., None], largest[..., -1]], 2)
    added = (k * (factor - ends[..., 1:, None]).exp()[..., None]).mT @ values
    states = torch.cat([state[:, :, None], added], 2)
    states = (_past(ends, ends) @ states.flatten(3)).view_as(states)
    before = (q @ states[:, :, :-1]) * (ends[..., :-1, None] - largest).exp()[..., None]
    sums = ((q @ k.mT) * _past(factor, largest)) @ values + before
    y = _ratio(sums).permute(0, 2, 3, 1, 4).flatten(1, 2)[:, :length]
    # The last state is copied, or it would keep the memory of all of them.
    return y, (states[:, :, -1].clone(), ends[..., -1].clone())


def _past(factor: Float[Tensor, "... n"], scale: Float[Tensor, "... n"]) -> Float[Tensor, "..."]:
    """Return exp(factor_s - scale_t), at most 1, for s <= t, and zero above."""
    size = factor.shape[-1]
    future = torch.ones(size, size, dtype=torch.bool, device=factor.device).triu(1)
    # Masked before the exponential: the future's factors may be larger by any amount.
    return (factor[..., None, :] - scale[..., None]).masked_fill(future, -torch.inf).exp()


def _keys(features: FeatureMap, k: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Map keys; those of padding, where no one stands among the values, have the least factor."""
    key, factor = features.keys(k)
    return key, factor.masked_fill(values[..., -1] == 0, torch.finfo(factor.dtype).min)


def _summed(features: FeatureMap, start: Sums, k: Tensor, values: Tensor) -> tuple[Tensor, Sums]:
    """Add a segment to the state, and put nothing out."""
    (state, scale), (key, factor) = start, _keys(features, k, values)
    largest = torch.maximum(scale, factor.amax(1))
    key = key * (factor - largest[:, None]).exp()[..., None]
    added = torch.einsum("blhf,blhw->bhfw", key, values)
    return values[..., :0], ((scale - largest).exp()[..., None, None] * state + added, largest)


def _read(features: FeatureMap, state: tuple[Tensor], q: Tensor) -> tuple[Tensor, tuple[Tensor]]:
    """Read the state for the queries of a segment."""
    return _ratio(torch.einsum("blhf,bhfw->blhw", features.queries(q), *state)), state


def _with_ones(v: Tensor) -> Tensor:
    return F.pad(v, (0, 1), value=1.0)


def torch_ratio(sums: Float[Tensor, "*b w"]) -> Float[Tensor, "*b e"]:
    """Divide by the sum of the weights; zero where it vanishes, as where all is padding."""
    above, total = sums.split([sums.shape[-1] - 1, 1], -1)
    ratio: Tensor = above / total.masked_fill(total < torch.finfo(sums.dtype).tiny, 1)
    return ratio


RATIOS = triton("divided"), Form("torch", torch_ratio)


def _ratio(sums: Tensor) -> Tensor:
    ratio: Tensor = chosen(RATIOS, sums).run(sums)
    return ratio


def _segment(q: Tensor) -> int:
    return CHUNK * max(1, SEGMENT // (CHUNK * len(q)))


def _chunked(x: Tensor, chunk: int) -> Tensor:
    """Cut (b, l, h, e) into (b, h, chunks, chunk, e), with zeros at the end."""
    padded = F.pad(x, (0, 0, 0, 0, 0, -x.shape[1] % chunk))
    chunks: Tensor = padded.unflatten(1, (-1, chunk))
    return chunks.permute(0, 3, 1, 2, 4)
