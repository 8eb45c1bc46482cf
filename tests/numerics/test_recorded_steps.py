"""What a GPU's steps do when they are recorded, on tensors without memory: they read nothing."""

from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from typing import TypeVar

import pytest
import torch

from harness.api import UnsupportedError
from harness.contract.network import state_tensors
from harness.nn.replay import Steps
from harness.plugins.loading import load_model
from harness.plugins.registry import registry
from harness.testing.model_under_test import ModelUnderTest

T = TypeVar("T")
OPTIONS = (
    "jamba[experts=4]",
    "local-attention[chunk=8]",
    "log-linear[over=gated-delta]",
    "mega[chunk=8]",
    "s4[mode=linear]",
    "transformer[positions=sinusoidal,kv_heads=2]",
)


def done_at_once(
    work: Callable[[], T], rehearse: Callable[[], object]
) -> tuple[Callable[[], object], T]:
    """Do the work now; there is nothing that doing it again would change."""
    rehearse()
    return lambda: None, work()


@pytest.mark.parametrize("name", [*registry().of("model"), *OPTIONS])
def test_a_recorded_step_reads_nothing_and_its_state_comes_back_to_its_shapes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # torch knows no precision to mix where there is no memory.
    monkeypatch.setattr("torch.autocast", lambda *_, **__: nullcontext())
    monkeypatch.setattr("torch.is_autocast_enabled", lambda *_: False)
    model = ModelUnderTest(load_model(name), causal=True)
    network, u = model.network(torch.float32), model.features(2, 1, torch.float32)[:, 0]
    try:
        _, state = network.step(u, network.initial_state(2))
    except UnsupportedError as error:
        pytest.skip(str(error))
    # Counters stay, as on a GPU.
    parts = [part for part in state_tensors(state) if part.ndim]
    state = deepcopy(state, {id(part): part.to("meta") for part in parts})
    network, u = network.to("meta"), u.to("meta")
    steps = Steps(network, state, done_at_once)

    for _ in range(min(40, network.replayable(state))):
        assert steps(u).shape == u.shape

    assert steps.refusal == ""
    assert steps.replayed
