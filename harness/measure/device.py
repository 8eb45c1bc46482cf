"""What differs between devices when something is timed or weighed there."""

import gc
from collections.abc import Callable

import torch

from harness.core.record import Memory
from harness.measure import memory
from harness.measure.clock import nothing
from harness.measure.stopwatch import Clock, Events, Stopwatch


def synchronizer(device: str) -> Callable[[], None]:
    """Return what waits until a device, `cpu` or `cuda`, has done what it was given."""
    return torch.cuda.synchronize if device == "cuda" else nothing


def stopwatch(device: str) -> Stopwatch:
    """Return what times the steps of a training on a device, `cpu` or `cuda`."""
    return Events() if device == "cuda" else Clock()


def peak(call: Callable[[], object], device: str) -> Memory:
    """Call once and return the peak on a device.

    Args:
        call: What is weighed; it should have run before, so that lazy set-up is not counted.
        device: `cpu`, or `cuda` for the allocator's own peak on the current CUDA device.
    """
    return cuda_peak(call) if device == "cuda" else memory.peak(call)


def cuda_peak(call: Callable[[], object]) -> Memory:
    """Return the CUDA allocator's peak, and name what it reserved."""
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    highest, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    return Memory(
        peak_bytes=highest,
        delta_bytes=highest - before,
        method=f"max_memory_allocated (reserved {reserved} bytes)",
    )


def absence(device: str) -> str:
    """Say in a sentence that this machine has no such device; nothing if it has."""
    if device == "cuda" and not torch.cuda.is_available():
        return "There is no CUDA device here that torch can use; leave out --device cuda."
    return ""


def accelerator(device: str) -> str:
    """Return the name of the card that a device is; empty for a CPU."""
    return torch.cuda.get_device_name() if device == "cuda" else ""
