"""The backbone is the same around every mixer, and steps as it runs."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.nn import functional

from harness.api import (
    Batch,
    GeneratedTask,
    Mixer,
    Model,
    OneLabel,
    PairLabel,
    Signal,
    StepLabels,
    Tokens,
    Trunk,
    UnsupportedError,
    Values,
)
from harness.core.seeding import scope
from harness.nn.backbone import Backbone
from harness.nn.norms import BatchNorm, LayerNorm, RMSNorm
from harness.nn.single_position import gelu


class Sum(Mixer):
    """Adds up the past, scaled."""

    def __init__(self, width):
        super().__init__()
        self.scale = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, u, lengths=None):
        return (u * self.scale).cumsum(1)

    def initial_state(self, batch):
        return (self.scale.new_zeros(batch, len(self.scale)),)

    def step(self, u, state):
        total = state[0] + u * self.scale
        return total, (total,)

    def state_bytes(self, length):
        return 4 * len(self.scale)


def model(trunk):
    @dataclass(frozen=True, kw_only=True)
    class SumModel(Model):
        def build(self, *, width, length, causal):
            return Sum(width)

    SumModel.trunk = trunk
    return SumModel()


@dataclass(frozen=True, kw_only=True)
class Probe(GeneratedTask):
    """A task of any inputs and outputs."""

    asked: object = None
    given: object = None
    version: ClassVar[int] = 1

    inputs = property(lambda self: self.given)
    outputs = property(lambda self: self.asked)
    max_length = property(lambda self: 7)
    causal = property(lambda self: True)
    chance = property(lambda self: 0.0)

    def sample(self, n, rng):
        return Batch(self.given.random(n, 7, rng), torch.zeros(n))


def network(given, asked, trunk=None, depth=2):
    with scope("test"):
        made = Backbone(model(trunk or Trunk()), Probe(given=given, asked=asked), 6, depth, 0.0)
    return made.double().eval()


RNG = torch.Generator().manual_seed(3)
TRUNKS = [
    Trunk(),
    Trunk(prenorm=False),
    Trunk(mix="linear"),
    Trunk(mix="none", ffn=4.0),
    Trunk(mix="none", ffn=2.0, prenorm=False),
    Trunk(norm="rms", mix="half-glu", ffn=8 / 3, ffn_form="swiglu"),
    Trunk(norm="batch"),
    Trunk(norm="batch", prenorm=False, ffn=1.0),
]


@pytest.mark.parametrize("trunk", TRUNKS)
@pytest.mark.parametrize("given", [Tokens(5), Signal(2)])
def test_steps_agree_with_the_whole_sequence_whatever_the_trunk(trunk, given):
    net = network(given, StepLabels(3), trunk)
    inputs = given.random(2, 7, RNG)
    inputs = inputs.double() if inputs.is_floating_point() else inputs

    state, outputs = net.initial_state(2), []
    for position in range(7):
        predicted, state = net.step(inputs[:, position], state)
        outputs.append(predicted)

    torch.testing.assert_close(torch.stack(outputs, 1), net(inputs))


@pytest.mark.parametrize("trunk", TRUNKS)
def test_a_prefilled_state_is_the_state_after_so_many_steps(trunk):
    net = network(Signal(2), Values(1, last=7), trunk)
    inputs = torch.randn(2, 7, 2, generator=RNG).double()

    state = net.prefill(inputs[:, :5])
    predicted, _ = net.step(inputs[:, 5], state)
    piece, _ = net.advance(inputs[:, 5:], net.prefill(inputs[:, :5]))

    torch.testing.assert_close(predicted, net(inputs)[:, 5])
    torch.testing.assert_close(piece, net(inputs)[:, 5:])


@pytest.mark.parametrize("trunk", TRUNKS)
def test_hooks_see_a_step_as_they_see_a_sequence(trunk):
    net = network(Signal(2), Values(1, last=7), trunk)
    names, seen, inputs = {m: n for n, m in net.named_modules()}, [], torch.randn(1, 7, 2).double()
    for module in net.modules():
        module.register_forward_pre_hook(lambda module, _: seen.append(("before", names[module])))
        module.register_forward_hook(lambda module, *_: seen.append(("after", names[module])))

    net(inputs)
    sequence, seen[:] = list(seen), []
    net.step(inputs[:, 0], net.initial_state(1))

    # A network, a block and a mixer have a face for steps, which is not their `forward`.
    faces = {"", *(f"blocks.{n}{of}" for n in range(2) for of in ("", ".mixer"))}
    assert [call for call in sequence if call[1] not in faces] == seen


def test_a_hook_changes_what_a_step_computes():
    net = network(Signal(2), Values(1, last=7))
    inputs, state = torch.randn(1, 2).double(), net.initial_state(1)
    before, _ = net.step(inputs, state)

    hook = net.blocks[0].mixer_norm.register_forward_hook(lambda *called: 2 * called[-1])

    assert not torch.allclose(net.step(inputs, net.initial_state(1))[0], before)
    hook.remove()
    torch.testing.assert_close(net.step(inputs, net.initial_state(1))[0], before)


@pytest.mark.parametrize(
    ("asked", "shape"),
    [(OneLabel(3), (4, 3)), (StepLabels(3), (4, 7, 3)), (Values(2, last=5), (4, 5, 2))],
)
def test_predictions_have_the_shape_that_the_outputs_say(asked, shape):
    assert network(Tokens(5), asked)(torch.zeros(4, 7, dtype=torch.long)).shape == shape


def test_a_pair_of_documents_goes_through_one_network_and_padding_does_not_count():
    net = network(Tokens(5), PairLabel(2))
    inputs = torch.randint(5, (3, 2, 7), generator=RNG)
    lengths = torch.tensor([[7, 4], [1, 7], [5, 5]])
    padded = inputs.masked_fill(torch.arange(7) >= lengths[..., None], 0)

    predicted = net(inputs, lengths)

    assert predicted.shape == (3, 2)
    torch.testing.assert_close(predicted, net(padded, lengths))


def test_state_and_path_are_those_of_the_mixers():
    net = network(Signal(1), Values(1, last=7), depth=3)

    assert net.state_bytes(7) == 3 * 4 * 6
    assert net.path() == "torch"


def test_without_dropout_training_and_evaluation_are_the_same():
    net, inputs = network(Tokens(5), OneLabel(3)), torch.zeros(2, 7, dtype=torch.long)

    torch.testing.assert_close(net.train()(inputs), net.eval()(inputs))


@pytest.mark.parametrize("norm", ["layer", "rms", "batch"])
@pytest.mark.parametrize("prenorm", [True, False])
def test_padding_moves_neither_predictions_nor_statistics(norm, prenorm):
    first, second = (
        network(Signal(2), OneLabel(3), Trunk(norm=norm, prenorm=prenorm)).train() for _ in "ab"
    )
    lengths = torch.tensor([7, 4, 1])
    inputs = torch.randn(3, 7, 2, generator=RNG).double()
    refilled = inputs.masked_fill((torch.arange(7) >= lengths[:, None])[..., None], 100.0)

    torch.testing.assert_close(first(inputs, lengths), second(refilled, lengths))
    torch.testing.assert_close(first.state_dict(), second.state_dict())


def test_batch_norm_is_torchs_where_nothing_is_padded():
    ours, torchs = BatchNorm(6).double(), nn.BatchNorm1d(6).double()
    x = 3 + torch.randn(4, 5, 6, generator=RNG).double()

    torch.testing.assert_close(ours(x), torchs(x.mT).mT)
    torch.testing.assert_close(ours(x, torch.full((4,), 5)), torchs(x.mT).mT)
    torch.testing.assert_close(ours.state_dict(), torchs.state_dict())
    torch.testing.assert_close(ours(x[:, 0]), ours.eval()(x)[:, 0])


def test_batch_norm_of_a_step_follows_whatever_changes():
    norm = BatchNorm(6).double()
    x = 3 + torch.randn(4, 5, 6, generator=RNG).double()

    for change in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        before = norm(x[:, 0])
        with torch.no_grad():
            change.copy_(torch.rand(6, generator=RNG) + 0.5)
        assert not torch.allclose(before, norm(x[:, 0]))
        torch.testing.assert_close(norm(x[:, 0]), norm.eval()(x)[:, 0])
    before = norm(x[:, 0])
    norm.train()(1 + 2 * x)
    assert not torch.allclose(before, norm(x[:, 0])), "the statistics have moved"
    torch.testing.assert_close(norm(x[:, 0]), norm.eval()(x)[:, 0])
    norm.half()
    torch.testing.assert_close(norm(x[:, 0].half()), norm(x.half())[:, 0], atol=5e-3, rtol=2e-3)


@pytest.mark.parametrize("size", [(3, 6), (1, 7), (2, 4096), (2, 3, 4)])
def test_gelu_is_torchs_for_one_position_and_for_many(size):
    x = 3 * torch.randn(size, generator=RNG)

    torch.testing.assert_close(gelu(x), functional.gelu(x), atol=1e-6, rtol=1e-3)
    torch.testing.assert_close(gelu(x.double()), functional.gelu(x.double()))
    torch.testing.assert_close(gelu(x.mT), functional.gelu(x.mT), atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("norm", ["layer", "rms", "batch"])
def test_no_sequences_give_no_predictions_by_any_face(norm):
    for outputs in (Values(2, last=3), Values(2, last=None), StepLabels(4)):
        whole = network(Signal(3), outputs, Trunk(norm=norm))
        u = torch.zeros(0, 5, 3, dtype=torch.float64)
        assert len(whole(u)) == len(whole(u, torch.zeros(0, dtype=torch.long))) == 0
        output, state = whole.step(u[:, 0], whole.prefill(u))
        assert len(output) == len(whole.advance(u, state)[0]) == 0


@pytest.mark.parametrize(("ours", "torchs"), [(LayerNorm, nn.LayerNorm), (RMSNorm, nn.RMSNorm)])
def test_norms_of_positions_are_torchs(ours, torchs):
    norm, twin = ours(6).double(), torchs(6).double()
    scale = {name: 1 + torch.randn(6, generator=RNG) for name in norm.state_dict()}
    norm.load_state_dict(scale)
    twin.load_state_dict(scale)
    x = 3 + torch.randn(4, 5, 6, generator=RNG).double()
    torch.testing.assert_close(norm(x), twin(x))
    torch.testing.assert_close(norm(x[:, 0]), twin(x)[:, 0])
    torch.testing.assert_close(norm(1e-9 * x[:, 0]), twin(1e-9 * x)[:, 0])
    torch.testing.assert_close(norm(0 * x[:, 0]), twin(0 * x)[:, 0])
    norm, twin, small = norm.bfloat16(), twin.bfloat16(), (0.01 * x).bfloat16()
    torch.testing.assert_close(norm(small[:, 0]), twin(small)[:, 0])


@pytest.mark.parametrize(
    ("trunk", "parameters"),
    [
        (Trunk(mix="none"), 0),
        (Trunk(mix="linear"), 6 * 6 + 6),
        (Trunk(mix="half-glu"), 6 * 6 + 6),
        (Trunk(mix="glu"), 2 * (6 * 6 + 6)),
        (Trunk(mix="none", ffn=4.0), 6 * 24 + 24 + 24 * 6 + 6 + 2 * 6),
        (Trunk(mix="none", ffn=4.0, ffn_form="swiglu"), 3 * 6 * 24 + 2 * 6),
    ],
)
def test_a_block_has_the_parameters_of_its_trunk(trunk, parameters):
    def count(trunk):
        [block] = network(Signal(1), Values(1, last=7), trunk, depth=1).blocks
        return sum(p.numel() for p in block.parameters())

    assert count(trunk) - 2 * 6 - 6 == parameters


def test_a_recipe_may_build_its_stack_and_its_own_maps():
    @dataclass(frozen=True, kw_only=True)
    class Own(Model):
        def build(self, *, width, length, causal):
            return Sum(width)

        def stack(self, *, depth, width, length, causal):
            return [Sum(width)] * depth

        def feed_forward(self, *, width, layer):
            return nn.Linear(width, width) if layer == 1 else None

    net = Backbone(Own(), Probe(given=Signal(1), asked=Values(1, last=7)), 6, 3, 0.0)

    assert len({id(block.mixer.scale) for block in net.blocks}) == 1
    assert [block.ffn is not None for block in net.blocks] == [False, True, False]


def test_a_network_without_step_sizes_follows_no_other_sampling_rate():
    net = network(Signal(1), Values(1, last=7))

    net.resample(1)
    with pytest.raises(UnsupportedError, match="Sum follows no other sampling rate"):
        net.resample(2)
