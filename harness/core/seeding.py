"""Named random streams: the only place that seeds anything.

A stream is named by what it is for, so data depend on the task, its version and the split and on
nothing else, and two models of one seed start from draws that do not disturb each other.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor


def stream(*names: str | int) -> "Generator":
    """Return a fresh CPU generator whose draws depend on its names only.

    Args:
        names: What the draws are for, such as `stream(7, "init")` or
            `stream("synthetic/shift", 1, "test")`.
    """
    import torch  # noqa: PLC0415 - the parent of all runs holds values of this room, but no torch

    return torch.Generator().manual_seed(digest(*names))


@contextmanager
def scope(*names: str | int) -> Iterator[None]:
    """Let torch's global CPU and CUDA generators draw from a named stream, and restore them after.

    Modules such as `nn.Linear` and `nn.Dropout` draw from the global generator and take no other.
    """
    import torch  # noqa: PLC0415 - as above

    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    # Where there is no device, torch would note down for one to come who seeded, call by call.
    device = torch.accelerator.is_available()
    seed = torch.manual_seed if device else torch.default_generator.manual_seed
    with torch.random.fork_rng(devices=devices):
        seed(digest(*names))
        yield


def random_state() -> list["Tensor"]:
    """Return where torch's global generators are: the CPU's, and each CUDA device's in use."""
    import torch  # noqa: PLC0415 - as above

    used = torch.cuda.is_available() and torch.cuda.is_initialized()
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if used else [])]


def set_random_state(states: list["Tensor"]) -> None:
    """Let torch's global generators go on from where `random_state` saw them."""
    import torch  # noqa: PLC0415 - as above

    torch.set_rng_state(states[0])
    if states[1:]:
        torch.cuda.set_rng_state_all(states[1:])


def forget() -> None:
    """Begin numpy's global stream anew, as in a new process; ours have names, Python's sees to it.

    A process that was forked would else draw what every other one draws.
    """
    import numpy as np  # noqa: PLC0415 - as above

    np.random.seed()  # noqa: NPY002 - a plugin may use it


def digest(*names: str | int) -> int:
    """Hash names to 63 bits, the same in every process and on every machine."""
    text = "\x1f".join(map(str, names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
