"""What chance is in languages whose answers depend on the length."""

import pytest
import torch

from harness.api import IGNORED
from harness.plugins.loading import load_task

NAMES = ("binary-multiplication", "bracketed-arithmetic", "compute-sqrt", "stack-manipulation")


@pytest.mark.parametrize("length", [8, 80])
@pytest.mark.parametrize("name", NAMES)
def test_chance_is_that_of_the_length_which_is_asked(name: str, length: int) -> None:
    task = load_task(f"languages/{name}[length={length}]")
    targets = task.drawn(2000, length, torch.Generator().manual_seed(0)).targets
    counts = targets[targets != IGNORED].bincount()

    assert task.chance == pytest.approx((counts.max() / counts.sum()).item(), abs=0.035)
