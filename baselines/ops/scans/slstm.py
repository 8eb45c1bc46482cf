"""The recurrence of sLSTM: exponential gates that see the last output, one position after another.

Beck et al. 2024, "xLSTM: Extended Long Short-Term Memory", section 2.2. From the logits
(i~, f~, z~, o~)_t = x_t + R h_{t-1} of a head, and f = sigmoid(f~), i = exp(i~),

    c_t = f c_{t-1} + i tanh(z~),   n_t = f n_{t-1} + i,   h_t = sigmoid(o~) c_t / n_t.

c and n are held times exp(-m_t), with m_t = max(log f + m_{t-1}, i~), which changes no h. Since h
goes through R, nothing here is parallel in time.

Axes: b batch, l length, h heads, e features of a head, g = 4 e logits.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.scans.checkpointed_scan import checkpointed_scan

SEGMENT = 1 << 16
"""Logits whose loop is recomputed for the gradient at a time."""

Part = Float[Tensor, "b h e"]
SLSTMState = tuple[Part, Part, Part, Part]
"""h, then c and n times exp(-m), and m."""


def slstm(
    x: Float[Tensor, "b l h g"], R: Float[Tensor, "h e g"], state: SLSTMState
) -> tuple[Float[Tensor, "b l h e"], SLSTMState]:
    """Return all h and the last state. Float32 at least.

    Args:
        x: What the input adds to the logits of the input gate, forget gate, cell and output gate.
        R: What the last output of a head adds to its logits.
        state: Before the first position.
    """
    if not x.shape[1]:
        return x[..., : R.shape[1]], state
    dtype = torch.promote_types(x.dtype, torch.float32)
    rows = max(1, SEGMENT // max(1, x[:, 0].numel()))
    start = tuple(part.to(dtype) for part in state)
    with torch.autocast(x.device.type, enabled=False):
        y, (h, c, n, m) = checkpointed_scan(_segment, rows, start, (x.to(dtype),), (R.to(dtype),))
    return y.to(x.dtype), (h, c, n, m)


def naive_slstm(
    x: Float[Tensor, "b l h g"], R: Float[Tensor, "h e g"], state: SLSTMState
) -> tuple[Float[Tensor, "b l h e"], SLSTMState]:
    """Do the same as the paper has it before it is stabilised, the twin of `slstm`."""
    h, c, n, m = state
    c, n, outputs = c * m.exp(), n * m.exp(), []
    for now in x.unbind(1):
        i, f, z, o = (now + torch.einsum("bhe,heg->bhg", h, R)).chunk(4, -1)
        c = f.sigmoid() * c + i.exp() * z.tanh()
        n = f.sigmoid() * n + i.exp()
        h = o.sigmoid() * c / n
        outputs.append(h)
    return torch.stack(outputs, 1), (h, c, n, torch.zeros_like(m))


def slstm_step(
    x: Float[Tensor, "b h g"], R: Float[Tensor, "h e g"], state: SLSTMState
) -> tuple[Part, SLSTMState]:
    """Advance one position."""
    before = tuple(part.transpose(0, 1) for part in state)
    with torch.autocast(x.device.type, enabled=False):
        after = _position(x.transpose(0, 1).to(R), R, before)
    h, c, n, m = (part.transpose(0, 1) for part in after)
    return h, (h, c, n, m)


def _segment(start: tuple[Tensor, ...], x: Tensor, R: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Walk a segment, heads first, as products of each head's matrix need them."""
    state, outputs = tuple(part.transpose(0, 1) for part in start), []
    for now in x.permute(1, 2, 0, 3).contiguous().unbind(0):
        state = _position(now, R, state)
        outputs.append(state[0])
    last = tuple(part.transpose(0, 1) for part in state)
    return torch.stack(outputs, 1).permute(2, 1, 0, 3), last


def _position(now: Tensor, R: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    h, c, n, m = state
    i, f, z, o = torch.baddbmm(now, h, R).chunk(4, -1)
    kept = F.logsigmoid(f) + m
    most = torch.maximum(kept, i)
    f, i = (kept - most).exp(), (i - most).exp()
    c, n = torch.addcmul(f * c, i, z.tanh()), torch.addcmul(i, f, n)
    return o.sigmoid() * (c / n), c, n, most
