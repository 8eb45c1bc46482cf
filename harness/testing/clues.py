"""What lies behind some failures of a check, looked for once the check has failed."""

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from harness.contract.network import Network, Stepper

SINGLE = (torch.float32, torch.complex64)
DOUBLE = (torch.float64, torch.complex128)


@final
class FirstRounding(TorchFunctionMode):
    """Notes the first function that makes single precision of double."""

    found = ""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function, and look at what went in and what came out."""
        out = func(*args, **(kwargs or {}))
        rounded = isinstance(out, Tensor) and out.dtype in SINGLE
        if rounded and any(isinstance(x, Tensor) and x.dtype in DOUBLE for x in args):
            self.found = self.found or getattr(func, "__name__", str(func))
        return out


def float32_inside(network: Network, u: Tensor) -> str:
    """Say in a sentence where a network of float64 goes down to float32; empty if nowhere."""
    with FirstRounding() as seen:
        network(u)
    if not seen.found:
        return ""
    return (
        f" It is float32 inside (`{seen.found}` makes float32 of float64), so a float64 input "
        f"agrees to float32 precision only; let every operator keep its input's dtype."
    )


def forward_by_steps(network: Network, u: Tensor) -> str:
    """Say in a sentence that `forward` is made of steps, which carry no gradient; empty if not."""
    called: list[str] = []
    for part in network.modules():
        for face in ("step", "advance", "prefill") if isinstance(part, Stepper) else ():
            setattr(part, face, _noting(face, getattr(part, face), called))
    network(u)
    if not called:
        return ""
    return (
        f" `forward` calls `{called[0]}`, which carries no gradient, for `step`, `advance` and "
        f"`prefill` are for generation; let both call a method of another name."
    )


def _noting(face: str, method: Callable[..., Any], called: list[str]) -> Callable[..., Any]:
    """Return a method that also notes that it was called."""

    def noted(*arguments: Any) -> Any:
        called.append(face)
        return method(*arguments)

    return noted
