"""The memory of mLSTM: a matrix with exponential gates, kept in range by a running maximum.

Beck et al. 2024, "xLSTM: Extended Long Short-Term Memory", section 2.3. With f_t = sigmoid(forget)
and i_t = exp(write), a head holds

    C_t = f_t C_{t-1} + i_t k_t v_t^T,   n_t = f_t n_{t-1} + i_t k_t,
    y_t = C_t^T q_t / max(|n_t . q_t|, 1).

What is held is C and n times exp(-m_t), with m_t = max(log f_t + m_{t-1}, write_t). Both of its
terms are at most one, whatever the gates, and y is the same. The maximum has a closed form,

    m_t = F_t + max(m_0, max_{s <= t} (write_s - F_s)),   F_t = log f_1 + ... + log f_t,

so it is known before anything is read, and what remains is the recurrence of `ssd` with log decays
log f_t + m_{t-1} - m_t and step sizes exp(write_t - m_t), n being one more column of C.

Axes: b batch, l length, h heads, k key features, v value features, w = v + 1.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.forms import Form, chosen, triton
from baselines.ops.scans.ssd import fits_tiles, ssd, ssd_step

Keys = Float[Tensor, "b l h k"]
Values = Float[Tensor, "b l h v"]
Logits = Float[Tensor, "b l h"]
MLSTMState = tuple[Float[Tensor, "b h k w"], Float[Tensor, "b h"]]
"""C beside n, both times exp(-m), and m."""


def mlstm(
    q: Keys, k: Keys, v: Values, write: Logits, forget: Logits, state: MLSTMState
) -> tuple[Values, MLSTMState]:
    """Return the outputs and the last state, chunk by chunk. Float32 at least.

    Args:
        q: Where in the memory the output is read.
        k: Where in the memory a value is added.
        v: Values.
        write: Logarithms of the input gates.
        forget: Logits of the forget gates.
        state: Before the first position.
    """
    if not v.shape[1]:
        return v, state
    form = chosen(FORMS, v, widest=max(state[0].shape[2:]))
    remembered: tuple[Tensor, MLSTMState] = form.run(q, k, v, write, forget, state)
    return remembered


def scanned_mlstm(
    q: Keys, k: Keys, v: Values, write: Logits, forget: Logits, state: MLSTMState
) -> tuple[Values, MLSTMState]:
    """Return the same in torch, around the scan of Mamba-2."""
    memory, before = state
    dtype = torch.promote_types(v.dtype, torch.float32)
    with torch.autocast(v.device.type, enabled=False):
        q, k, v, write, forget = (part.to(dtype) for part in (q, k, v, write, forget))
        log_f = F.logsigmoid(forget)
        most = running_maximum(log_f.detach(), write.detach(), before.detach())
        previous = torch.cat([before[:, None].to(most), most[:, :-1]], 1)
        # In double, like the maximum: their difference keeps its digits however far the sums went.
        decay = (log_f + (previous - most)).to(dtype)
        step = (write - most).to(dtype).exp()
        y, memory = ssd(_beside_ones(v), step, decay, k, q, memory)
        return _divided(y, most.to(dtype)), (memory, most[:, -1].to(before))


def recurrent_mlstm(
    q: Keys, k: Keys, v: Values, write: Logits, forget: Logits, state: MLSTMState
) -> tuple[Values, MLSTMState]:
    """Take the positions one by one, the twin of `mlstm`, with the paper's formulas."""
    outputs, (memory, m) = [], state
    C, n = memory[..., :-1], memory[..., -1]
    for now in range(q.shape[1]):
        log_f, i = F.logsigmoid(forget[:, now]), write[:, now]
        after = torch.maximum(log_f + m, i)
        f, i, m = (log_f + m - after).exp()[..., None], (i - after).exp()[..., None], after
        C = f[..., None] * C + torch.einsum("bhk,bhv->bhkv", i * k[:, now], v[:, now])
        n = f * n + i * k[:, now]
        read = torch.einsum("bhk,bhk->bh", n, q[:, now]).abs()
        above = torch.einsum("bhkv,bhk->bhv", C, q[:, now])
        outputs.append(above / torch.maximum(read, (-m).exp())[..., None])
    return torch.stack(outputs, 1), (torch.cat([C, n[..., None]], -1), m)


FORMS = triton("mlstm", fits_tiles), Form("torch", scanned_mlstm)


def mlstm_step(
    q: Float[Tensor, "b h k"],
    k: Float[Tensor, "b h k"],
    v: Float[Tensor, "b h v"],
    write: Float[Tensor, "b h"],
    forget: Float[Tensor, "b h"],
    state: MLSTMState,
) -> tuple[Float[Tensor, "b h v"], MLSTMState]:
    """Advance one position without gradients; returns the output and the state, made in place."""
    memory, before = state
    kept = F.logsigmoid(forget) + before
    most = torch.maximum(kept, write)
    y, memory = ssd_step(_beside_ones(v), (write - most).exp(), kept - most, k, q, memory)
    return _divided(y, most), (memory, most)


def running_maximum(
    log_f: Logits, write: Logits, before: Float[Tensor, "b h"]
) -> Float[Tensor, "b l h"]:
    """Return m of every position, in double."""
    total = log_f.double().cumsum(1)
    above = (write - total).cummax(1).values
    return total + torch.maximum(above, before[:, None].double())


def _beside_ones(v: Tensor) -> Tensor:
    """Append what the normaliser adds up."""
    return F.pad(v, (0, 1), value=1.0)


def _divided(y: Tensor, most: Tensor) -> Tensor:
    """Divide by the normaliser, or where it is below one, by one, of which exp(-m) is held."""
    least = (-most).exp().clamp(min=torch.finfo(y.dtype).tiny)
    return y[..., :-1] / torch.maximum(y[..., -1].abs(), least)[..., None]
