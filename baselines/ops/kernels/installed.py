"""Says whether kernels can run; it imports no torch, so that `ssm-bench doctor` may ask."""

import os
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec

SWITCH = "SSM_BENCH_TRITON"
"""The environment variable that keeps kernels from running if it is 0."""


def has_triton() -> bool:
    """Say whether Triton is installed and not switched off."""
    return os.environ.get(SWITCH) != "0" and is_installed("triton")


@cache
def is_installed(package: str) -> bool:
    """Say whether there is a package of a name, without importing it."""
    return find_spec(package) is not None


def fact() -> tuple[bool, str]:
    """Say for the doctor whether kernels run on a GPU, if there is one."""
    if has_triton():
        return True, f"{version('triton')}, for kernels on a GPU"
    if is_installed("triton"):
        return False, f"switched off by {SWITCH}=0, so a GPU runs torch alone"
    return False, "not installed, so a GPU would run torch alone: pip install triton"
