"""What a step of generation is spared: all of it stands here.

Each is worth a tenth of some layer's step. The figures are of width 64, where they are largest; at
1,024 each is worth 6 % of S5's step at most. Decision 0007 tells what was not worth it.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from harness.core.private_torch import private_torch

FEW = 4096
"""Numbers up to which torch's own GELU is done before oneDNN's has begun; at 16,384 oneDNN's two
cores are ahead."""


def own_tensors(module: nn.Module) -> list[Tensor]:
    """Return a module's own parameters and buffers.

    Worth 20 % on S5 and 11 % on S4D and DSS: `parameters` looks for parts that they have not.
    """
    parameters = private_torch("torch.nn.Module()._parameters")(module)
    buffers = private_torch("torch.nn.Module()._buffers")(module)
    return [tensor for tensor in (*parameters.values(), *buffers.values()) if tensor is not None]


def tensor_versions(tensors: Sequence[Tensor]) -> list[tuple[int, object]]:
    """Return numbers that differ after any tensor has changed in a way that torch counts.

    They tell when a system has to be discretised again; at every position that would take longer
    than all else. A tensor's version counts its changes in place, its address shows the others.
    What is written through `p.data` or a numpy view of it torch does not count, so it stays unseen.
    For those made inside `torch.inference_mode()` it counts nothing, so they pass for changed each
    time: build a model outside, and generate inside.
    """
    version = private_torch("torch.Tensor()._version")
    return [(t.data_ptr(), object() if t.is_inference() else version(t)) for t in tensors]


def gelu(x: Tensor) -> Tensor:
    """Apply GELU (arXiv 1606.08415), exact, to (..., d) features or to those of one position.

    Worth 15 % on S4D and DSS and 12 % on S5, on two threads; on one, 7 % on Performer at most.
    """
    if x.ndim > 2 or not 0 < x.numel() <= FEW or x.numel() % 2 or not x.is_cpu:
        return F.gelu(x)
    # oneDNN takes what lies in memory in order, so a transpose keeps one position from it.
    return F.gelu(x.reshape(2, -1).t()).t().view(x.shape)


def drop(x: Tensor, p: float, training: bool) -> Tensor:
    """Drop out in training only.

    Worth 20 % on S4D and DSS, which do it twice a block, over a module of torch's that is called in
    evaluation too.
    """
    return F.dropout(x, p) if training else x
