"""The DLR paper's sequence tasks, against its definitions and figures."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from harness.api import SpecError
from harness.seeding import stream
from suites.synthetic.cumsum import CumSum
from suites.synthetic.select import Select
from suites.synthetic.shift import Shift

SEEDS = st.integers(0, 2**32)
TASKS = [Shift(length=64), CumSum(length=64), Select(length=64, marked=8)]


@given(st.integers(1, 600))
def test_delays_are_the_truncated_linear_grid_of_the_paper(eighth: int) -> None:
    length = 8 * eighth
    grid = np.trunc(np.linspace(0, length - length / 8, 8) + 1e-9)

    assert Shift(length=length).delays == grid.astype(int).tolist()


@given(st.integers(1, 9), st.integers(0, 30), SEEDS)
def test_shift_copies_each_value_to_its_delays(shifts: int, more: int, seed: int) -> None:
    task = Shift(length=shifts + more, shifts=shifts)
    batch = task.sample(2, stream(seed))
    signal = batch.inputs[..., 0].tolist()

    for row in range(2):
        for position in range(task.length):
            for column, delay in enumerate(task.delays):
                wanted = signal[row][position - delay] if position >= delay else 0.0
                assert batch.targets[row, position, column] == wanted


def test_a_model_without_memory_scores_two_ninths_on_shift() -> None:
    task = Shift()
    batch = task.split("test")
    memoryless = torch.zeros_like(batch.targets)
    memoryless[..., 0] = batch.inputs[..., 0]

    score = task.outputs.score(task.outputs.examine(memoryless, batch.targets), len(batch))

    assert score["r2"] == pytest.approx(1 / 4.5, abs=0.005)


@given(st.integers(2, 100), SEEDS)
def test_cumsum_is_the_running_sum_over_the_root_of_the_count(length: int, seed: int) -> None:
    batch = CumSum(length=length).sample(1, stream(seed))
    signal = batch.inputs[0, :, 0].tolist()

    for position in range(length):
        wanted = math.fsum(signal[: position + 1]) / math.sqrt(position + 1)
        assert batch.targets[0, position, 0].item() == pytest.approx(wanted, rel=1e-5, abs=1e-6)


@given(st.integers(1, 60), st.integers(1, 20), SEEDS)
def test_select_asks_for_the_marked_values_in_order(length: int, marked: int, seed: int) -> None:
    task = Select(length=length, marked=marked)
    batch = task.sample(3, stream(seed))

    assert batch.inputs.shape == (3, length + 2 * marked, 4)
    for row, target in zip(batch.inputs.tolist(), batch.targets[..., 0].tolist(), strict=True):
        assert [value for value, marker, *_ in row if marker == 1] == target
        assert {marker for _, marker, *_ in row} <= {0, 1}
        assert all(value == marker == 0 for value, marker, *_ in row[-marked:])


def test_select_marks_every_position_equally_often() -> None:
    task = Select(length=24, marked=8)
    share = task.sample(20_000, stream("shares")).inputs[:, :32, 1].mean(0)

    assert share.sub(1 / 4).abs().max() < 5 * math.sqrt(3 / 16 / 20_000)


@pytest.mark.parametrize("task", TASKS)
def test_a_sequence_is_scaled_to_its_largest_value(task: Shift | CumSum | Select) -> None:
    largest = task.sample(50, stream("scale")).inputs[..., 0].abs().amax(1)

    assert torch.equal(largest, torch.ones(50))


def test_values_have_the_variance_that_the_normalisation_gives() -> None:
    n = 512

    def integrand(largest: float) -> float:
        """Return density of the largest size, times the mean square of a value divided by it."""
        inside = 2 * norm.cdf(largest) - 1
        density = n * 2 * norm.pdf(largest) * inside ** (n - 1)
        others = (1 - 2 * largest * norm.pdf(largest) / inside) / largest**2
        return float(density * (1 + (n - 1) * others) / n)

    variance, _ = quad(integrand, 1, 10)
    values = CumSum(length=n).sample(4000, stream("variance")).inputs[..., 0]

    assert values.var().item() == pytest.approx(variance, abs=0.001)


@pytest.mark.parametrize("task", TASKS)
def test_the_clock_turns_once_over_the_whole_input(task: Shift | CumSum | Select) -> None:
    clock = torch.view_as_complex(task.sample(1, stream(0)).inputs[0, :, -2:].double())
    turn = np.exp(2j * np.pi * np.arange(task.max_length) / task.max_length)

    torch.testing.assert_close(clock, torch.from_numpy(turn), rtol=0, atol=1e-7)


@pytest.mark.parametrize("task", TASKS)
def test_data_are_single_precision(task: Shift | CumSum | Select) -> None:
    batch = task.sample(2, stream(0))

    assert batch.inputs.dtype == batch.targets.dtype == torch.float32


@pytest.mark.parametrize(
    ("recipe", "options", "sentence"),
    [
        (Shift, {"length": 7}, "'length' must be at least 8, not 7"),
        (Shift, {"shifts": 0}, "'shifts' must be at least 1, not 0"),
        (CumSum, {"length": 1}, "'length' must be at least 2, not 1"),
        (Select, {"marked": 0}, "'marked' must be at least 1, not 0"),
        (Select, {"length": 0}, "'length' must be at least 1, not 0"),
    ],
)
def test_an_option_that_is_too_small_is_refused(
    recipe: type[Shift | CumSum | Select], options: dict[str, int], sentence: str
) -> None:
    with pytest.raises(SpecError, match=sentence):
        recipe(**options)
