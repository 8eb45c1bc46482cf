"""Named random streams: the only place that seeds anything.

A stream is named by what it is for, so data depend on the task, its version and the split and on
nothing else, and two models of one seed start from draws that do not disturb each other.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator


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
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(digest(*names))
        yield


def digest(*names: str | int) -> int:
    """Hash names to 63 bits, the same in every process and on every machine."""
    text = "\x1f".join(map(str, names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
