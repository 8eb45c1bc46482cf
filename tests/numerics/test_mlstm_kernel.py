"""The kernel of mLSTM equals the paper's recurrence, in Triton's interpreter."""

import pytest
import torch
from torch import Tensor

from baselines.ops.scans.mlstm import recurrent_mlstm
from harness.core.seeding import stream
from harness.plugins.loading import load_model
from tests.numerics.interpreted import agree, kernels
from tests.numerics.test_mlstm import Form, flat

memory = kernels("mlstm")
scans = kernels("matrix_scan")
quotients = kernels("divided")
HEADS, KEYS, VALUES = 2, 3, 2


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let chunks, blocks and tiles be so small that several are cheap."""
    for name, size in {"ROWS": 4, "BLOCKS": 2, "LEAST": 2, "STATE": 8, "LANES": 16}.items():
        monkeypatch.setattr(scans, name, size)
    monkeypatch.setattr(memory, "SIZE", 8)
    monkeypatch.setattr(quotients, "NUMBERS", 8)


def drawn(length: int) -> list[Tensor]:
    """Draw q, k, v, both gates' logits, far apart, and a state."""
    rng = stream("mlstm kernel", length)
    position = (HEADS, KEYS), (HEADS, KEYS), (HEADS, VALUES), (HEADS,), (HEADS,)
    shapes = [(2, length, *shape) for shape in position]
    shapes += [(2, HEADS, KEYS, VALUES + 1), (2, HEADS)]
    leaves = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes]
    leaves[3], leaves[4] = 4 * leaves[3], 4 * leaves[4]
    return [leaf.requires_grad_(number < 6) for number, leaf in enumerate(leaves)]


@pytest.mark.parametrize("length", [1, 9])
def test_outputs_memory_and_gradients_are_those_of_the_recurrence(length: int) -> None:
    agree(flat(memory.mlstm), flat(recurrent_mlstm), drawn(length))


@pytest.mark.parametrize("name", ["mlstm", "mlstm[gates=sigmoid]", "mamba3"])
def test_a_layer_around_the_scan_of_matrices_says_which_form_runs(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = load_model(name).build(width=8, length=3, causal=True)
    assert layer.path() == "torch"
    monkeypatch.setattr("baselines.ops.forms.on_gpu", lambda x: True)
    assert layer.path() == "triton"


def test_single_precision_loses_no_digits_to_the_running_maximum() -> None:
    form: Form = memory.mlstm
    q, k, v, write, forget, *state = (leaf.detach().float() for leaf in drawn(5))
    found = flat(form)(q, k, v, write, forget, *state)
    exact = flat(recurrent_mlstm)(*(x.double() for x in (q, k, v, write, forget, *state)))
    for one, other in zip(found, exact, strict=True):
        torch.testing.assert_close(one, other.float(), rtol=1e-4, atol=1e-5)
