"""Chaotic paths: against the equations, the attractor, and what is shown of them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api import SpecError
from harness.core.seeding import stream
from suites.series.chaotic import SYSTEMS, Chaotic, advanced, attractor

SEEDS = st.integers(0, 2**32)
NAMES = st.sampled_from(sorted(SYSTEMS))


@settings(max_examples=10, deadline=None)
@given(NAMES, st.sampled_from([0.0, 0.5, 0.8]), SEEDS)
def test_what_is_asked_is_what_is_shown_next(system: str, uneven: float, seed: int) -> None:
    whole = Chaotic(system=system, shown="all", length=8, uneven=uneven).sample(3, stream(seed))
    first = Chaotic(system=system, length=8, uneven=uneven).sample(3, stream(seed))
    steps = whole.inputs[..., -1]

    assert torch.equal(whole.inputs[:, 1:, :-1], whole.targets[:, :-1])
    assert torch.equal(first.inputs[:, :, [0, -1]], whole.inputs[:, :, [0, -1]])
    assert torch.equal(first.inputs[:, 0], whole.inputs[:, 0])
    assert not first.inputs[:, 1:, 1:-1].any()
    assert torch.equal(first.targets, whole.targets[..., :1])
    assert (steps - 1).abs().max() <= uneven + 1e-6


@settings(max_examples=6, deadline=None)
@given(NAMES, st.floats(0.2, 2.0), SEEDS)
def test_the_flow_of_a_system_is_the_slope_of_its_path(name: str, step: float, seed: int) -> None:
    system = SYSTEMS[name]
    point = torch.randint(4096, (5,), generator=stream(seed)).numpy()
    x = system.unscaled(attractor(name)[:, point])
    short = np.full(5, 1e-5 * step)

    moved = advanced(system.flow, x, short, 1)
    np.testing.assert_allclose((moved - x) / short, system.flow(x), rtol=1e-2, atol=1e-1)
    halves = advanced(system.flow, advanced(system.flow, x, short, 1), short, 1)
    np.testing.assert_allclose(halves, advanced(system.flow, x, 2 * short, 2), rtol=1e-12)


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_inputs_are_around_zero_with_a_spread_of_one(name: str) -> None:
    points = attractor(name)

    np.testing.assert_allclose(points.mean(1), 0, atol=0.1)
    np.testing.assert_allclose(points.std(1), 1, atol=0.1)


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_paths_that_begin_close_together_part(name: str) -> None:
    system, usual = SYSTEMS[name], np.full(4, SYSTEMS[name].step)
    near = system.unscaled(attractor(name)[:, :4])
    other, start = near + 1e-6, 1e-6
    for _ in range(200):
        near, other = (advanced(system.flow, x, usual, 12) for x in (near, other))

    assert abs(near - other).max() > 30 * start


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_the_oracle_follows_longer_and_slower_paths(name: str) -> None:
    task = Chaotic(system=name, shown="all", length=10)
    for batch in (task.drawn(3, 20, stream("longer")), task.drawn(3, 10, stream("slower"), 2.0)):
        torch.testing.assert_close(task.oracle(batch), batch.targets, atol=1e-3, rtol=0)


def test_what_stays_as_it_is_scores_what_is_stated() -> None:
    task = Chaotic()
    batch = task.sample(600, stream("persistence"))
    figures = task.outputs.per_example(
        task.shortcut_predictions(batch)["persistence"], batch.targets
    )

    found = task.outputs.score(figures, 32)["r2"]
    assert found == pytest.approx(task.shortcuts["persistence"], abs=0.012)


def test_batches_that_are_drawn_together_are_given_out_one_by_one() -> None:
    task = Chaotic(length=3)
    batches = [b for b, _ in zip(task.train_batches(2), range(20), strict=False)]

    assert {len(batch) for batch in batches} == {2}
    assert len({batch.inputs.numpy().tobytes() for batch in batches}) == 20


@pytest.mark.parametrize("uneven", [-0.1, 1.0])
def test_steps_back_in_time_are_refused(uneven: float) -> None:
    with pytest.raises(SpecError, match="'uneven' must be from 0 to below 1"):
        Chaotic(uneven=uneven)
