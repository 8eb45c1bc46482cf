"""Gated SSM and Hawk: their recurrences written out, and what the prefix mask lets through."""

import pytest
import torch
from torch import Tensor

from baselines.gated_ssm import GatedSSM, GatedSSMLayer
from baselines.hawk import Hawk, HawkLayer
from baselines.ops.layers.prefix_layer import PrefixLayer
from harness.api import Stepper
from harness.core.seeding import scope, stream

RECIPES = [GatedSSM(expand=2.0), Hawk(expand=2.0, blocks=2), Hawk(expand=1.0, blocks=1)]
MASK = [1, 0, 0, 2, 2, 2]
"""The paper's example: a prefix of three tokens, then the suffix that is generated."""


def layer(recipe: GatedSSM | Hawk, *, causal: bool = False) -> PrefixLayer:
    """Build a float64 layer of width 4 with biases that are not all zero."""
    with scope("layer"):
        mixer = recipe.build(width=4, length=8, causal=causal).double()
        for bias in (p for name, p in mixer.named_parameters() if name.startswith("b_")):
            torch.nn.init.normal_(bias)
        return mixer


def features(length: int, batch: int = 2) -> Tensor:
    rng = stream("features", length)
    return torch.randn(batch, length, 4, generator=rng, dtype=torch.float64)


def moved(mixer: PrefixLayer, mask: Tensor | None, u: Tensor, changed: int) -> list[int]:
    """Return the positions whose output a change at one position moves."""
    other = u.clone()
    other[:, changed] += 1
    difference = (mixer(other, mask=mask) - mixer(u, mask=mask)).abs().amax((0, 2))
    return difference.nonzero().flatten().tolist()


def signals(mixer: PrefixLayer, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return forget gates, drives and output gates by the papers' formulas."""
    if isinstance(mixer, GatedSSMLayer):
        i, z, o = mixer.project(u).chunk(3, -1)
        return (u @ mixer.W_f.T).sigmoid(), i.sigmoid() * z, torch.nn.functional.gelu(o)
    assert isinstance(mixer, HawkLayer)
    x, o = mixer.project(u).chunk(2, -1)
    past = torch.nn.functional.pad(x, (0, 0, 3, 0))
    x = sum(mixer.conv[:, tap] * past[:, tap : tap + u.shape[1]] for tap in range(4))
    r = (x @ torch.block_diag(*mixer.W_a) + mixer.b_a).sigmoid()
    i = (x @ torch.block_diag(*mixer.W_x) + mixer.b_x).sigmoid()
    a = mixer.Lambda.sigmoid() ** (8 * r)
    return a, (1 - a**2).sqrt() * (i * x), torch.nn.functional.gelu(o)


def walked(mixer: PrefixLayer, u: Tensor, mask: list[int]) -> Tensor:
    """Walk forwards and backwards, forgetting at borders."""
    f, drive, gate = signals(mixer, u)
    cut, length = mixer.forwards, u.shape[1]
    h = torch.zeros_like(f)
    for t in range(length):
        before = h[:, t - 1, :cut] if t and mask[t] != 1 else 0
        h[:, t, :cut] = f[:, t, :cut] * before + drive[:, t, :cut]
    for t in range(length - 1, -1, -1):
        open_ = t + 1 < length and mask[t] != 2 and mask[t + 1] == 0
        behind = h[:, t + 1, cut:] if open_ else 0
        h[:, t, cut:] = f[:, t, cut:] * behind + drive[:, t, cut:]
    return mixer.out(gate * h)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("recipe", RECIPES, ids=str)
@pytest.mark.parametrize("mask", [[0], [1, 0, 0, 0, 0], MASK, [*MASK, 1, 0, 1, 2, 2]])
def test_a_layer_equals_its_papers_recurrence(
    recipe: GatedSSM | Hawk, mask: list[int], causal: bool
) -> None:
    mixer, u = layer(recipe, causal=causal), features(len(mask))
    expected = walked(mixer, u, mask)
    torch.testing.assert_close(mixer(u, mask=torch.tensor([mask, mask])), expected)
    if set(mask[1:]) <= {0}:
        torch.testing.assert_close(mixer(u), expected)


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_the_prefix_sees_itself_whole_and_the_suffix_only_its_past(recipe: GatedSSM | Hawk) -> None:
    mixer, u, mask = layer(recipe), features(6), torch.tensor([MASK, MASK])
    seen = {changed: moved(mixer, mask, u, changed) for changed in range(6)}
    assert seen == {
        0: [0, 1, 2, 3, 4, 5],
        1: [0, 1, 2, 3, 4, 5],
        2: [0, 1, 2, 3, 4, 5],
        3: [3, 4, 5],
        4: [4, 5],
        5: [5],
    }


def test_nothing_crosses_a_packed_border_of_the_gated_ssm() -> None:
    mixer, mask = layer(RECIPES[0]), torch.tensor([[*MASK, 1, 0, 1, 2, 2]] * 2)
    u = features(11)
    for start, stop in ((0, 6), (6, 8), (8, 11)):
        for changed in range(start, stop):
            assert set(moved(mixer, mask, u, changed)) <= set(range(start, stop))
        alone = mixer(u[:, start:stop], mask=mask[:, start:stop])
        torch.testing.assert_close(mixer(u, mask=mask)[:, start:stop], alone)


@pytest.mark.parametrize("recipe", RECIPES[1:], ids=str)
def test_hawk_needs_three_spacers_between_packed_samples(recipe: Hawk) -> None:
    mixer = layer(recipe)
    for spacers, leaks in ((2, True), (3, False)):
        mask = torch.tensor([[*MASK, *[2] * spacers, 1, 0, 2]] * 2)
        crossed = [p for p in moved(mixer, mask, features(9 + spacers), 5) if p >= 6 + spacers]
        assert bool(crossed) == leaks
        assert all(p >= 6 + spacers for p in moved(mixer, mask, features(9 + spacers), 6 + spacers))


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_generation_continues_a_prefix_as_the_mask_says(recipe: GatedSSM | Hawk) -> None:
    mixer, u = layer(recipe), features(6)
    whole = mixer(u, mask=torch.tensor([[0, *MASK[1:]]] * 2))
    state = mixer.prefill(u[:, :3])
    torch.testing.assert_close(mixer.advance(u[:, 3:], state)[0], whole[:, 3:])
    for position in range(3, 6):
        y, state = mixer.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_steps_follow_parameters_that_changed_in_place_and_in_type(recipe: GatedSSM | Hawk) -> None:
    mixer, u = layer(recipe, causal=True), features(4)

    def stepped() -> Tensor:
        inputs = u.to(mixer.out.weight.dtype)
        return Stepper.advance(mixer, inputs, mixer.initial_state(2))[0]

    stepped()
    for parameter in mixer.parameters():
        with torch.no_grad():
            parameter.mul_(1.5)
        torch.testing.assert_close(stepped(), mixer(u))
    mixer.float()
    torch.testing.assert_close(stepped(), mixer(u.float()))


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_pieces_of_a_causal_layer_continue_the_sequence(recipe: GatedSSM | Hawk) -> None:
    mixer, u = layer(recipe, causal=True), features(70)
    first, state = mixer.advance(u[:, :33], mixer.initial_state(2))
    second, _ = mixer.advance(u[:, 33:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), mixer(u))


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
@pytest.mark.parametrize("filler", [1e6, torch.nan])
def test_padding_reaches_no_valid_position(recipe: GatedSSM | Hawk, filler: float) -> None:
    mixer, u = layer(recipe), features(9)
    padded = u.clone()
    padded[1, 5:] = filler
    y = mixer(padded, torch.tensor([9, 5]))
    torch.testing.assert_close(y[0], mixer(u)[0])
    torch.testing.assert_close(y[1:, :5], mixer(u[1:, :5]))


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_layers_of_a_bidirectional_stack_alternate(recipe: GatedSSM | Hawk) -> None:
    for causal, expected in ((True, [True] * 4), (False, [False, True, False, True])):
        layers = recipe.stack(depth=4, width=4, length=8, causal=causal)
        assert [mixer.causal for mixer in layers] == expected
        counts = {sum(p.numel() for p in mixer.parameters()) for mixer in layers}
        assert len(counts) == 1


def test_gradients_of_hawk_stay_finite_where_a_decay_rounds_to_one() -> None:
    mixer = layer(RECIPES[1], causal=True).float()
    with torch.no_grad():
        mixer.b_a.fill_(-200.0)
    mixer(features(5).float()).sum().backward()
    assert all(p.grad.isfinite().all() for p in mixer.parameters())
