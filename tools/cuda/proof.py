"""Compares layers on a device, by the forms that run there, with themselves in float64 on a CPU.

`python -m tools.cuda.proof DEVICE MODEL...` writes a row of Markdown a model, as it goes.
"""

import copy
import math
import sys

import torch
from torch import Tensor, nn

from harness.core.seeding import scope, stream
from harness.plugins.loading import load_model

BATCH, LENGTH, WIDTH = 2, 700, 64
"""Several chunks of each kernel, none of them whole, and little for a CPU."""
HEAD = "| layer | path | outputs | gradients |\n|---|---|--:|--:|\n"
CLOSE = 1e-3
"""Relative errors of norms up to which a layer in single precision agrees."""


def proved(name: str, device: str) -> str:
    """Return a row: the path that ran, and how far outputs and gradients are from exact ones."""
    with scope(0, "proof"):
        layer = load_model(name).build(width=WIDTH, length=LENGTH, causal=True)
    u = torch.randn(BATCH, LENGTH, WIDTH, generator=stream("proof"))
    exact = passed(copy.deepcopy(layer).double(), u.double())
    found = passed(layer.to(device), u.to(device))
    outputs, gradients = (distance(found[part], exact[part]) for part in (slice(1), slice(1, None)))
    return f"| {name} | {layer.path()} | {outputs:.1e} | {gradients:.1e} |"


def passed(layer: nn.Module, u: Tensor) -> list[Tensor]:
    """Return a layer's outputs, and the gradients of inputs and parameters."""
    leaves = [u.requires_grad_(), *(each for each in layer.parameters() if each.requires_grad)]
    y = layer(u)
    weight = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).cos().view_as(y)
    grads = torch.autograd.grad((weight.to(y) * y).sum(), leaves, allow_unused=True)
    return [y, *(each for each in grads if each is not None)]


@torch.no_grad()
def distance(found: list[Tensor], exact: list[Tensor]) -> float:
    """Return the largest relative error of a norm; not a number counts as infinite."""
    errors = []
    for one, other in zip(found, exact, strict=True):
        difference, whole = (one.detach().cpu().double() - other).norm(), other.norm()
        errors.append(float(difference / whole if whole else difference))
    return max(each if math.isfinite(each) else math.inf for each in errors)


def agrees(row: str) -> bool:
    """Say whether a row's numbers are small enough."""
    _, _, *errors = row.strip("| \n").split(" | ")
    try:
        return all(float(each) <= CLOSE for each in errors)
    except ValueError:
        return False


def main(device: str, *names: str) -> None:
    """Write a row a model; one that breaks has a row of what it says."""
    sys.stdout.write(HEAD)
    for name in names:
        try:
            row = proved(name, device)
        except Exception as error:
            row = (
                f"| {name} | {type(error).__name__}: {' '.join(str(error).split())[:120]} | - | - |"
            )
        sys.stdout.write(row + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
