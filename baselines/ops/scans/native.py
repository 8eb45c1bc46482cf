"""Finds what is compiled for Mamba, from `csrc`, and its instruction set.

It imports no torch, so that `ssm-bench doctor` may ask. The library is optional: without a compiler
at installation there is none, and with the environment variable SSM_BENCH_NATIVE=0 none is used.
SSM_BENCH_NATIVE=baseline or avx2 keeps it from using a better instruction set; avx512, like nothing
at all, leaves it the best there is.
"""

import ctypes
import os
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

LEVELS = ("baseline", "avx2", "avx512")
"""Instruction sets, as the library counts them; baseline is what the processor's family has."""

SIZES = ("level", "threads", "batch", "length", "channels", "states")
ARRAYS = (
    *("x", "dt", "A", "gain", "B", "C", "skip", "state", "boundaries", "y", "grad_y", "grad_state"),
    *("grad_x", "grad_dt", "grad_A", "grad_gain", "grad_B", "grad_C", "grad_skip"),
)


class Arguments(ctypes.Structure):
    """The arguments of the scan's functions: sizes, then addresses."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in SIZES),
        *((name, ctypes.c_void_p) for name in ARRAYS),
    )


class Convolution(ctypes.Structure):
    """The same of the short convolution's functions."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in (*SIZES[:5], "taps", "silu")),
        *((name, ctypes.c_void_p) for name in ("x", "weight", "bias", "state", "y", "grad_y")),
        *((f"grad_{name}", ctypes.c_void_p) for name in ("x", "state", "weight", "bias")),
    )


class Map(ctypes.Structure):
    """The same of the functions that map number by number."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("level", "threads", "count")),
        *((name, ctypes.c_void_p) for name in ("a", "b", "grad", "out", "second")),
    )


@cache
def library() -> ctypes.CDLL | None:
    """Load the library, None if the installation built none or it cannot be loaded."""
    for suffix in EXTENSION_SUFFIXES:
        path = Path(__file__).with_name("_native" + suffix)
        if path.exists():
            try:
                return ctypes.CDLL(str(path))
            except OSError:
                return None
    return None


def level() -> str:
    """Name the instruction set that the library uses; empty if there is none.

    Raises:
        SpecError: SSM_BENCH_NATIVE has a value without a meaning.
    """
    found, wanted = library(), os.environ.get("SSM_BENCH_NATIVE", "")
    if misled := _misled():
        from harness.api import SpecError  # noqa: PLC0415 - it brings torch, for a refusal only

        raise SpecError(misled)
    if found is None or wanted == "0":
        return ""
    best = found.scan_level()
    return LEVELS[min(best, LEVELS.index(wanted)) if wanted in LEVELS else best]


def fact() -> tuple[bool, str]:
    """Say for the doctor whether the operator is there."""
    if misled := _misled():
        return False, misled
    if name := level():
        return True, f"compiled, {name}"
    if library() is None:
        return (
            False,
            "not compiled, so Mamba runs on torch alone: install again with a C++ compiler",
        )
    return False, "switched off by SSM_BENCH_NATIVE=0, so Mamba runs on torch alone"


def _misled() -> str:
    """Say what is wrong with the environment variable; empty if nothing is."""
    wanted = os.environ.get("SSM_BENCH_NATIVE", "")
    if wanted in {"", "0", *LEVELS}:
        return ""
    return f"SSM_BENCH_NATIVE must be 0, {', '.join(LEVELS)} or not set, not {wanted!r}."
