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
from harness.core.seeding import stream
from suites.synthetic._sequences import AtomicTask
from suites.synthetic._system import orthogonal
from suites.synthetic.context_shift import ContextShift
from suites.synthetic.cummax import CumMax
from suites.synthetic.cumsum import CumSum
from suites.synthetic.mips import Mips, searched
from suites.synthetic.reverse import Reverse
from suites.synthetic.select import Select
from suites.synthetic.select_fixed import SelectFixed
from suites.synthetic.shift import Shift
from suites.synthetic.solve import Solve
from suites.synthetic.solve_fixed import SolveFixed
from suites.synthetic.sort import Sort

SEEDS = st.integers(0, 2**32)
SCALED = [
    Shift(length=64),
    CumSum(length=64),
    CumMax(length=64),
    Reverse(length=32),
    Sort(length=32),
    Select(length=64, marked=8),
    SelectFixed(length=64, marked=8),
]
TASKS = [*SCALED, Solve(length=64), SolveFixed(length=64), ContextShift(length=64), Mips(length=64)]


@given(st.integers(1, 600))
def test_delays_are_the_truncated_linear_grid_of_the_paper(eighth: int) -> None:
    length = 8 * eighth
    grid = np.trunc(np.linspace(0, length - length / 8, 8) + 1e-9)

    assert Shift(length=length).delays == grid.astype(int).tolist()


@pytest.mark.parametrize(
    ("length", "shifts", "delays"),
    [
        (512, 5, [0, 102, 204, 306, 409]),  # the authors' code; 307 on the exact grid
        (4096, 8, [0, 512, 1024, 1536, 2048, 2560, 3072, 3584]),
        (7, 1, [0]),
    ],
)
def test_delays_are_those_of_the_authors_code(length: int, shifts: int, delays: list[int]) -> None:
    assert Shift(length=length, shifts=shifts).delays == delays


@pytest.mark.parametrize(("length", "unknowns"), [(62, 6), (63, 7), (80, 8), (143, 11), (4096, 63)])
def test_as_many_unknowns_are_taken_as_fit_exactly(length: int, unknowns: int) -> None:
    assert Solve(length=length).unknowns == unknowns
    assert unknowns**2 + 2 * unknowns <= length < (unknowns + 1) ** 2 + 2 * (unknowns + 1)


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

    score = task.outputs.score(task.outputs.per_example(memoryless, batch.targets), len(batch))

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


def test_select_fixed_marks_the_same_positions_in_every_draw() -> None:
    task = SelectFixed()
    marks = [task.sample(5, stream(seed)).inputs[..., 1] for seed in range(3)]

    assert len(torch.cat(marks).unique(dim=0)) == 1
    assert marks[0][0].sum() == task.marked


def test_cummax_can_be_guessed_from_the_position_as_far_as_it_says() -> None:
    task = CumMax()
    seen, asked = (task.sample(4000, stream("cummax", part)).targets for part in ("seen", "asked"))
    guess = seen.mean(0).expand_as(asked)

    score = task.outputs.score(task.outputs.per_example(guess, asked), len(asked))

    assert score["r2"] == pytest.approx(0.47, abs=0.02)


@given(st.integers(1, 40), SEEDS)
def test_reverse_asks_for_the_values_backwards_behind_the_sequence(length: int, seed: int) -> None:
    batch = Reverse(length=length).sample(2, stream(seed))

    assert batch.inputs.shape == (2, 2 * length, 3)
    assert not batch.inputs[:, length:, 0].any()
    for row, target in zip(batch.inputs[:, :length, 0], batch.targets[..., 0], strict=True):
        assert target.tolist() == row.tolist()[::-1]


@given(st.integers(1, 40), SEEDS)
def test_sort_gives_every_value_once_at_growing_distance_from_the_first(
    length: int, seed: int
) -> None:
    batch = Sort(length=length).sample(2, stream(seed))
    for row, target in zip(batch.inputs[:, :length, 0], batch.targets[..., 0], strict=True):
        distance = [abs(value - row[0].item()) for value in target.tolist()]

        assert sorted(target.tolist()) == sorted(row.tolist())
        assert target[0] == row[0]
        assert distance == sorted(distance)


def test_sorting_without_the_signs_is_the_plateau_that_it_says() -> None:
    """Of distance d at a rank, x0 + d or x0 - d; the best guess is their weighted mean."""
    task = Sort()
    batch = task.split("test")
    first, values = batch.inputs[:, :1, 0], batch.targets[..., 0]
    distance = (values - first).abs()
    # The likelier of two values is the one nearer to zero, by the density of the drawn Gaussian.
    scale = 1 / batch.inputs[:, : task.length, 0].std(1, keepdim=True)
    above, below = (-((first + s * distance) * scale).square() / 2 for s in (1, -1))
    inside = [(first + s * distance).abs() <= 1 for s in (1, -1)]
    weights = torch.stack([a.exp() * i for a, i in zip((above, below), inside, strict=True)])
    weights = weights / weights.sum(0)
    guess = (first + distance) * weights[0] + (first - distance) * weights[1]

    score = task.outputs.score(
        task.outputs.per_example(guess[..., None], batch.targets), len(batch)
    )

    assert score["r2"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("length", "unknowns"), [(3, 1), (7, 1), (8, 2), (512, 21), (4096, 63)])
def test_as_many_unknowns_are_taken_as_fit(length: int, unknowns: int) -> None:
    task = Solve(length=length)

    assert task.unknowns == unknowns
    assert unknowns**2 + 2 * unknowns <= length < (unknowns + 1) ** 2 + 2 * (unknowns + 1)
    assert task.sample(2, stream(0)).targets.shape == (2, unknowns, 1)


@pytest.mark.parametrize("task", [Solve(length=120), SolveFixed(length=120)], ids=repr)
def test_the_rows_of_a_system_are_an_orthogonal_matrix_and_its_product(
    task: Solve | SolveFixed,
) -> None:
    batch, n = task.sample(4, stream("systems")), task.unknowns
    system = batch.inputs[:, : n * (n + 1), 0].double().unflatten(1, (n, n + 1))
    A, b = system[..., :n], system[..., n:]

    torch.testing.assert_close(A @ A.mT, torch.eye(n).double().expand_as(A), atol=1e-6, rtol=0)
    torch.testing.assert_close(A @ batch.targets.double(), b, atol=1e-6, rtol=0)
    assert not batch.inputs[:, n * (n + 1) :, 0].any()
    assert (len(A.unique(dim=0)) == 1) is isinstance(task, SolveFixed)


def test_orthogonal_matrices_have_the_moments_of_the_uniform_distribution() -> None:
    """Of Haar's measure: an entry's second moment is 1/n, its fourth 3/(n (n + 2))."""
    n, entries = 5, orthogonal(40_000, 5, stream("haar"))

    assert entries.mean(0).abs().max() < 0.01
    torch.testing.assert_close(
        entries.square().mean(0), torch.full((n, n), 1 / n).double(), rtol=0.02, atol=0
    )
    torch.testing.assert_close(
        entries.pow(4).mean(0), torch.full((n, n), 3 / n / (n + 2)).double(), rtol=0.04, atol=0
    )


@given(st.integers(4, 60), SEEDS)
def test_context_shift_delays_everything_by_what_the_header_says(length: int, seed: int) -> None:
    batch = ContextShift(length=length).sample(3, stream(seed))
    for row, target in zip(batch.inputs[..., 0], batch.targets[..., 0].tolist(), strict=True):
        x = row.tolist()
        [delay] = [
            s
            for s in range(length - 2)
            if x[:2]
            == pytest.approx(
                [math.cos(2 * math.pi * s / length), math.sin(2 * math.pi * s / length)], abs=1e-6
            )
        ]
        assert target == [0.0] * delay + x[: length - delay]


@given(st.integers(1, 30), st.integers(1, 5), SEEDS)
def test_mips_returns_the_value_of_the_best_key_so_far(length: int, e: int, seed: int) -> None:
    batch = Mips(length=length, features=e).sample(1, stream(seed))
    x = batch.inputs[0].double()
    q, k, v = x[:, :e], x[:, e : 2 * e], x[:, 2 * e : 3 * e]
    for i in range(length):
        products = [float(q[i] @ k[j]) for j in range(i + 1)]
        best = max(range(i + 1), key=products.__getitem__)
        assert products[best] == pytest.approx(max(products), abs=1e-12)
        assert float(q[i] @ k[int(searched(q[None], k[None])[0, i])]) == pytest.approx(
            products[best], abs=1e-12
        )
        if e > 1:
            assert torch.equal(batch.targets[0, i].double(), v[best])


@pytest.mark.parametrize("length", [1, 128, 300, 700])
def test_mips_searches_in_blocks_as_it_does_at_once(length: int) -> None:
    q, k = torch.randn(2, 3, length, 4, generator=stream("blocks"), dtype=torch.float64)
    future = torch.ones(length, length, dtype=torch.bool).triu(1)

    assert torch.equal(searched(q, k), (q @ k.mT).masked_fill(future, -torch.inf).argmax(2)), (
        "the first of the largest products, and none of a later key"
    )


@pytest.mark.parametrize("task", SCALED, ids=repr)
def test_a_sequence_is_scaled_to_its_largest_value(task: AtomicTask) -> None:
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


@pytest.mark.parametrize("task", TASKS, ids=repr)
def test_the_clock_turns_once_over_the_whole_input(task: AtomicTask) -> None:
    clock = torch.view_as_complex(task.sample(1, stream(0)).inputs[0, :, -2:].double())
    turn = np.exp(2j * np.pi * np.arange(task.max_length) / task.max_length)

    torch.testing.assert_close(clock, torch.from_numpy(turn), rtol=0, atol=1e-7)


@pytest.mark.parametrize("task", TASKS, ids=repr)
def test_data_are_single_precision(task: AtomicTask) -> None:
    batch = task.sample(2, stream(0))

    assert batch.inputs.dtype == batch.targets.dtype == torch.float32


@pytest.mark.parametrize(
    ("recipe", "options", "sentence"),
    [
        (Shift, {"length": 7}, "shifts <= length, not shifts=8, length=7"),
        (Shift, {"shifts": 0}, "'shifts' must be at least 1, not 0"),
        (CumSum, {"length": 1}, "'length' must be at least 2, not 1"),
        (Select, {"marked": 0}, "'marked' must be at least 1, not 0"),
        (Select, {"length": 0}, "'length' must be at least 1, not 0"),
        (SelectFixed, {"marked": 0}, "'marked' must be at least 1, not 0"),
        (CumMax, {"length": 1}, "'length' must be at least 2, not 1"),
        (Reverse, {"length": 0}, "'length' must be at least 1, not 0"),
        (Sort, {"length": 0}, "'length' must be at least 1, not 0"),
        (Solve, {"length": 2}, "'length' must be at least 3, not 2"),
        (ContextShift, {"length": 3}, "'length' must be at least 4, not 3"),
        (Mips, {"features": 0}, "'features' must be at least 1, not 0"),
    ],
)
def test_an_option_that_is_too_small_is_refused(
    recipe: type[AtomicTask], options: dict[str, int], sentence: str
) -> None:
    with pytest.raises(SpecError, match=sentence):
        recipe(**options)
