"""Says whose kernels can run; it imports no torch, so that `ssm-bench doctor` may ask."""

import os
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec

SWITCH = "SSM_BENCH_KERNELS"
"""The environment variable that names, between commas, whose kernels may run on a GPU."""
USUAL = "triton"
"""Our own, which is what runs where it names nobody; `torch` asks for none."""
PACKAGES = {
    "triton": "triton",
    "fla": "fla-core",
    "mamba_ssm": "mamba-ssm",
    "causal_conv1d": "causal-conv1d",
}
"""Packages by the name that they are imported and asked for by, and how installers call them."""


def runs(package: str) -> bool:
    """Say whether the kernels of a package are asked for and installed.

    Raises:
        SpecError: Somebody is asked for who has none.
    """
    return package in asked(os.environ.get(SWITCH, USUAL)) and is_installed(package)


@cache
def asked(names: str) -> frozenset[str]:
    """Return the packages that a value of the switch names.

    Raises:
        SpecError: One of them is unknown.
    """
    found = frozenset(name.strip() for name in names.split(",")) - {"", "torch"}
    if unknown := sorted(found - PACKAGES.keys()):
        from harness.api import SpecError  # noqa: PLC0415 - brings torch

        raise SpecError(
            f"{SWITCH} may name {', '.join(PACKAGES)}, or torch for none of them, not {unknown[0]}."
        )
    return found


@cache
def is_installed(package: str) -> bool:
    """Say whether there is a package of a name, without importing it."""
    return find_spec(package) is not None


def fact() -> tuple[bool, str]:
    """Say for the doctor whose kernels run on a GPU, if there is one, and whose could."""
    found = [name for name in PACKAGES if is_installed(name)]
    running = ", ".join(f"{name} {version(PACKAGES[name])}" for name in found if runs(name))
    silent = ", ".join(name for name in found if not runs(name))
    rest = f"; installed and not asked for by {SWITCH}: {silent}" if silent else ""
    if running:
        return True, f"kernels on a GPU by {running}{rest}"
    if "triton" in found:
        return False, f"no kernels, so a GPU runs torch alone{rest}"
    return False, f"not installed, so a GPU would run torch alone: pip install triton{rest}"
