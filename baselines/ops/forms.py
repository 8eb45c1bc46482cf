"""Which form of an operator runs: the first of several that fits what it is to compute on.

Every operator has a naive twin, which only tests call, and a form in torch, which runs everywhere
and stands last. Those before it are faster where they run: other people's kernels where somebody
asks for them, our own in Triton (`kernels`), what is compiled for processors (`csrc`). A layer's
`path()` names the one.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from torch import Tensor

from baselines.ops.kernels.installed import runs


def _always(*_: object, **__: object) -> bool:
    return True


class Form(NamedTuple):
    """One way of computing an operator."""

    name: str
    """What `path()` says."""
    run: Callable[..., Any]
    """Takes the same arguments and gives the same results as the operator's other forms."""
    fits: Callable[..., bool] = _always
    """Whether it can run on a tensor, and is the faster there; options say what else counts."""


def chosen(forms: Sequence[Form], x: Tensor, **facts: Any) -> Form:
    """Return the first form that fits a tensor of the device and precision to compute on."""
    return next(form for form in forms if form.fits(x, **facts))


def triton(
    name: str,
    fits: Callable[..., bool] = _always,
    order: Callable[..., tuple[Any, ...]] = lambda *given: given,
) -> Form:
    """Return the kernel of a name: the function so called of the module so called in `kernels`.

    It runs on GPUs where Triton is installed and nobody said otherwise; it brings that in when it
    first runs.

    Args:
        name: Of the kernel.
        fits: What it asks for beside that, as in a form.
        order: The operator's arguments as the kernel takes them.
    """

    def run(*arguments: Any, **options: Any) -> Any:
        module = import_module(f"baselines.ops.kernels.{name}")
        return getattr(module, name)(*order(*arguments), **options)

    def can(x: Tensor, **facts: Any) -> bool:
        return on_gpu(x) and runs("triton") and fits(x, **facts)

    return Form("triton", run, can)


def on_gpu(x: Tensor) -> bool:
    """Say whether a tensor takes the ways of GPUs.

    Those without memory do as well: so the launches of a layer are counted where there is no GPU.
    """
    return x.is_cuda or x.is_meta
