"""The two memory tasks on white noise: what their noise is, and what is asked of it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api import SpecError, Values
from harness.core.seeding import stream
from suites.signals._noise import RMS, band_limited
from suites.signals.delay import Delay
from suites.signals.reconstruction import Reconstruction


def r2(outputs: Values, predictions: torch.Tensor, targets: torch.Tensor) -> float:
    return outputs.score(outputs.per_example(predictions, targets), len(targets))["r2"]


@given(st.integers(8, 200), st.data())
@settings(max_examples=25, deadline=None)
def test_the_noise_has_equal_power_at_its_frequencies_and_none_above(length, data) -> None:
    cycles = data.draw(st.integers(1, (length - 1) // 2))
    noise = band_limited(400, length, cycles, stream("noise"))

    power = torch.fft.rfft(noise).abs().square().mean(0) / length**2

    assert noise[:, 0].abs().max() == 0
    # Each frequency's power is chi-squared with 2 degrees of freedom, averaged over 400 draws.
    torch.testing.assert_close(
        power[1 : cycles + 1] * 2 * cycles / RMS**2, torch.ones(cycles).double(), rtol=0, atol=0.3
    )
    assert (power[cycles + 1 :] < 1e-25).all()


def test_apart_from_its_beginning_at_zero_the_noise_has_the_published_power() -> None:
    noise = band_limited(500, 400, 100, stream("noise"))

    assert noise.std(1).square().mean().sqrt().item() == pytest.approx(RMS, rel=0.02)
    assert noise.mean(1).std().item() == pytest.approx(RMS, rel=0.1)


def summed(waves: np.ndarray, length: int, cycles: int) -> np.ndarray:
    """Return the noise of the same draws, as a sum of cosines and sines."""
    angle = 2 * np.pi * np.arange(1, cycles + 1)[:, None] * np.arange(length) / length
    signal = waves[..., 0] @ np.cos(angle) - waves[..., 1] @ np.sin(angle)
    return 0.5 * (signal - signal[:, :1]) / np.sqrt(cycles)


def test_the_noise_is_the_sum_of_its_waves() -> None:
    waves = torch.randn(3, 7, 2, generator=stream("waves"), dtype=torch.float64).numpy()

    noise = band_limited(3, 41, 7, stream("waves"))

    np.testing.assert_allclose(noise, summed(waves, 41, 7), atol=1e-12)


def test_the_defaults_are_the_published_sizes() -> None:
    delay, reconstruction = Delay(), Reconstruction()

    assert (delay.length, delay.lag, delay.frequency) == (4000, 1000, 1000)
    assert (reconstruction.length, reconstruction.memory) == (4000, 1000)
    assert reconstruction.frequency == 100 * 4, "100 hertz over four seconds"


@given(st.integers(10, 60), st.data())
@settings(max_examples=20, deadline=None)
def test_the_delayed_signal_is_the_signal_that_many_samples_before(length, data) -> None:
    lag = data.draw(st.integers(1, length - 1))
    batch = Delay(length=length, lag=lag, frequency=3).sample(2, stream("delay"))

    assert torch.equal(batch.targets[:, lag:], batch.inputs[:, :-lag])
    assert not batch.targets[:, :lag].any()


def test_a_delay_over_two_seconds_asks_about_the_second_of_them() -> None:
    task = Delay(length=50, lag=20, frequency=5)

    longer = task.evaluations()["length-100"]().batch

    assert longer.inputs.shape == (128, 100, 1)
    assert torch.equal(longer.targets, longer.inputs[:, 30:80])
    assert r2(task.outputs, task.oracle(longer)[:, 50:], longer.targets) == pytest.approx(1)


def test_the_reconstruction_is_the_end_of_the_signal_in_its_order() -> None:
    batch = Reconstruction(length=50, memory=20, frequency=5).sample(2, stream("end"))

    assert torch.equal(batch.targets[:, 0], batch.inputs[:, 30:, 0])


def test_at_half_the_rate_the_same_second_is_given_back_in_full() -> None:
    made = Reconstruction(length=50, memory=20, frequency=5).evaluations()["half-rate"]()

    assert made.rate == 2
    assert made.batch.inputs.shape == (128, 25, 1)
    assert torch.equal(made.batch.targets[:, 0, ::2], made.batch.inputs[:, 15:, 0])


def test_what_is_given_back_has_about_200_degrees_of_freedom_as_in_the_source() -> None:
    task = Reconstruction()
    targets = task.sample(1024, stream("rank")).targets[:, 0].double()

    energy = torch.linalg.svdvals(targets).square()
    lost = 1 - energy.cumsum(0) / energy.sum()

    assert lost[64 - 1] > 0.2
    assert lost[190 - 1] > 1e-3 > lost[202 - 1]
    assert task.protocol.width > 202


@pytest.mark.parametrize("task", [Delay(), Reconstruction()], ids=["delay", "reconstruction"])
def test_the_mean_of_the_input_reaches_the_stated_shortcut(task) -> None:
    batch = task.sample(512, stream("shortcut"))

    predictions = task.shortcut_predictions(batch)

    assert set(predictions) == set(task.shortcuts)
    for name, stated in task.shortcuts.items():
        assert r2(task.outputs, predictions[name], batch.targets) == pytest.approx(stated, abs=0.03)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"frequency": 2000}, "half the length, 2000"), ({"lag": 4000}, "between 1 and the length")],
)
def test_options_that_no_sequence_can_have_are_refused(options, said) -> None:
    with pytest.raises(SpecError, match=said):
        Delay(**options)


def test_more_memory_than_the_sequence_is_refused() -> None:
    with pytest.raises(SpecError, match="between 1 and the length 4000, not be 4001"):
        Reconstruction(memory=4001)
