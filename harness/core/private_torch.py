"""The names of torch that it does not document, and why each is used all the same.

torch keeps what it documents over years; any of these may go in any release. A torch without one
fails in a sentence where that name is needed, and only there. The order in which `lstm` and `gru`
take their arguments is documented no better: the tests of the recurrent layers hold it.
"""

from collections.abc import Mapping
from functools import cache
from operator import attrgetter
from pkgutil import resolve_name
from typing import Any

from harness.core.errors import SpecError

TESTED = "2.13.0"
"""The torch that has them all: the lower end of the range, which constraints.txt pins."""

_FFT = "to count a transform's operations"
_ATTENTION = "to count the operations of attention on a CPU"

PRIVATE: Mapping[str, str] = {
    "torch.Tensor()._version": "to see that a parameter has changed in place",
    "torch.nn.Module()._parameters": "to look at a layer's own parameters at every token",
    "torch.nn.Module()._buffers": "to look at a layer's own buffers at every token",
    "torch.lstm": "to run an LSTM on weights that are arguments, so that it can be recomputed",
    "torch.gru": "to run a GRU on weights that are arguments, so that it can be recomputed",
    "torch.lstm_cell": "to advance an LSTM by one token",
    "torch.gru_cell": "to advance a GRU by one token",
    "torch.ops.aten.silu_backward": "to take SiLU's derivative in one pass over memory",
    "torch.ops.mkldnn._linear_pointwise": "to multiply matrices by oneDNN in float32",
    "torch.utils._python_dispatch.TorchDispatchMode": "to see each operator that runs",
    "torch.utils._python_dispatch.TorchDispatchMode._should_skip_dynamo": (
        "to count operations without loading the compiler, its seconds and its 70 MB"
    ),
    "torch.utils.flop_counter.flop_registry": "to count operations by torch's own formulas",
    "torch.utils.flop_counter.sdpa_flop_count": _ATTENTION,
    "torch.utils.flop_counter.sdpa_backward_flop_count": _ATTENTION,
    "torch.ops.aten._scaled_dot_product_flash_attention_for_cpu": _ATTENTION,
    "torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward": _ATTENTION,
    "torch.ops.aten._fft_r2c": _FFT,
    "torch.ops.aten._fft_c2r": _FFT,
    "torch.ops.aten._fft_c2c": _FFT,
}
"""What each name is needed for; the brackets of `Module()` say that its instances have it."""


@cache
def private_torch(name: str) -> Any:
    """Return what torch has under one of these names; of instances' attributes, what reads them.

    Raises:
        SpecError: This torch has it no longer.
    """
    reason = PRIVATE[name]
    owner, of_instances, attribute = name.partition("().")
    try:
        found: Any = resolve_name(owner)
        if of_instances:
            getattr(found(), attribute)
            return attrgetter(attribute)
    except (AttributeError, ImportError) as error:
        import torch  # noqa: PLC0415 - values of this room are held where there is no torch

        raise SpecError(
            f"torch {torch.__version__} has no {name}, a name that torch never documented and "
            f"ssm-bench needs {reason}; install torch {TESTED}, which has it."
        ) from error
    return found
