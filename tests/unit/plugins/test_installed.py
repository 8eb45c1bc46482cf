"""Layers and bodies of installed packages are models by their import path, or are refused."""

import pytest
import torch

from harness import load_model, load_task
from harness.core.config import Selector
from harness.core.errors import SpecError, UnsupportedError
from harness.nn.backbone import Backbone
from harness.plugins.code import source_of
from harness.plugins.registry import registry
from harness.testing.run import run_checks

PAST = "retrieval/mqar[length=16,pairs=2,vocabulary=32]"
WHOLE = "series/motifs[length=32]"


def network(model: str, task: str = PAST, width: int = 16):
    return load_model(model).assemble(Backbone, load_task(task), width, 2, 0.0)


@pytest.mark.parametrize(
    "model", ["torch.nn:GRU", "torch.nn:LSTM", "torch.nn:RNN", "torch.nn:Linear"]
)
def test_a_layer_keeps_the_contract_as_it_is(model: str) -> None:
    outcomes = {result.name: result.outcome for result in run_checks("auto", model)}

    assert "failed" not in outcomes.values()
    assert outcomes["sees-no-future"] == outcomes["ignores-padding"] == "passed"
    assert outcomes["steps-as-it-sees"] == "not-applicable"


def test_what_looks_ahead_does_tasks_that_may_be_read_as_a_whole() -> None:
    model = load_model("torch.nn:TransformerEncoderLayer[nhead=2]")
    seen = network("torch.nn:TransformerEncoderLayer[nhead=2]", WHOLE)

    assert model.skip(load_task(PAST)) == (
        "torch.nn:TransformerEncoderLayer sees the future, and this task asks for the past."
    )
    assert not model.skip(load_task(WHOLE))
    assert seen(next(load_task(WHOLE).train_batches(2)).inputs).shape == (2, 8)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("torch.nn:TransformerEncoderLayer", "needs its option 'nhead'; write torch.nn:Trans"),
        ("torch.nn:MultiheadAttention[num_heads=2]", "cannot be called with a sequence"),
        ("torch.nn:LSTM[bidirectional=true]", r"makes \(1, 8, 32\) of \(1, 8, 16\), so it is no"),
        ("torch.nn:Conv1d", "takes no width"),
        ("torch.nn:Grru", "No layer of torch.nn is called 'Grru'"),
        ("torch.nn:functional", "No layer of torch.nn is called 'functional'"),
        ("torch.nn:GRU[layers=2]", "is called 'layers'. Did you mean 'num_layers'"),
        ("no_such_package:Thing", "is in no installed package"),
    ],
)
def test_what_cannot_be_a_model_is_refused_in_a_sentence(model: str, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        load_model(model)


def test_options_that_only_some_widths_allow_are_told_at_the_width() -> None:
    with pytest.raises(SpecError, match="cannot be built at width 16: embed_dim must be divisible"):
        network("torch.nn:TransformerEncoderLayer[nhead=6]", WHOLE)
    assert network("torch.nn:TransformerEncoderLayer[nhead=6]", WHOLE, width=48)


def test_trying_a_layer_moves_no_generator() -> None:
    before = torch.get_rng_state()
    load_model("torch.nn:GRU").skip(load_task(PAST))

    assert torch.equal(torch.get_rng_state(), before)


def test_a_run_names_the_package_and_its_version() -> None:
    entry = registry().find("model", "torch.nn:GRU")

    assert registry().match("model", "torch.nn:GRU[num_layers=2]") == [
        Selector("torch.nn:GRU[num_layers=2]")
    ]
    assert source_of(entry).origin == "torch"
    assert source_of(entry).version == torch.__version__


@pytest.mark.parametrize(
    "model",
    ["hf:gpt2[n_head=2]", "hf:mamba", "hf:mamba2[num_heads=4,head_dim=8,n_groups=1]", "hf:rwkv"],
)
def test_a_model_type_of_transformers_is_a_body_that_learns(model: str) -> None:
    pytest.importorskip("transformers")
    task = load_task(PAST)
    made, batch = network(model), next(task.train_batches(2))
    loss = task.outputs.loss(made(batch.inputs), batch.targets)
    loss.backward()

    trained = [each for each in made.parameters() if each.requires_grad]
    assert trained
    assert all(each.grad is not None for each in trained)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("hf:bert[num_attention_heads=2]", "sees the future, and this task asks for the past"),
        ("hf:t5", "cannot be called with a sequence"),
    ],
)
def test_a_body_that_cannot_do_a_task_says_so(model: str, sentence: str) -> None:
    pytest.importorskip("transformers")

    with pytest.raises(UnsupportedError, match=sentence):
        network(model)


def test_an_unknown_model_type_is_told_what_is_near() -> None:
    pytest.importorskip("transformers")

    with pytest.raises(SpecError, match=r"called 'mambo'. Did you mean 'mamba'"):
        load_model("hf:mambo")
