"""Kernels become machine code where there is no GPU, and find registers for all that they hold."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SINES = 40
"""Bytes of a thread in which CUDA's sine would reduce an angle that is large; none is here."""


def rows(root: Path, *asked: str) -> list[list[str]]:
    """Compile in a process of its own, in which no kernel is interpreted."""
    pytest.importorskip("triton")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tools.cuda.compiled", *asked],
        cwd=root,
        env=os.environ | {"TRITON_INTERPRET": "0", "PYTHONPATH": os.pathsep.join(["", *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[2:]]


def test_the_kernels_of_a_layer_compile_for_a_card_that_is_not_there(root: Path) -> None:
    found = rows(root, "gated-ssm")
    assert {"_write_ends", "_write_starts", "_write_states"} < {row[1] for row in found}
    assert all(row[0] == "gated-ssm" and int(row[3]) == 0 for row in found)


@pytest.mark.slow
@pytest.mark.parametrize("capability", ["80", "90"])
def test_no_kernel_spills_registers_but_what_sines_keep(root: Path, capability: str) -> None:
    plain = ["gated-ssm", "hawk", "lru", "mamba", "gated-deltanet", "kda", "s4"]
    turning = ["dlr", "dss", "s4d", "s5"]
    for row in rows(root, *plain, *turning, "--capability", capability):
        assert int(row[3]) <= (SINES if row[0] in turning else 0), row


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gated-deltanet", "kda"])
def test_the_delta_rule_fits_into_the_shared_memory_of_any_card(root: Path, name: str) -> None:
    shared = {row[1]: int(row[4]) for row in rows(root, name)}
    assert {"solve", "walk", "read", "walk_back", "write_gradients_of_keys"} < set(shared)
    assert max(shared.values()) <= 99 * 1024
