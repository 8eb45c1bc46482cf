"""Hybrid: whose layer stands where, what is shared within a recipe, and the whole network."""

import pytest
import torch

from baselines.hybrid import Hybrid
from baselines.ops.layers.attention_layer import AttentionLayer
from harness.api import Network, SpecError, tensor_bytes
from harness.core.seeding import scope, stream
from harness.nn.backbone import Backbone
from harness.plugins.loading import load_model
from harness.testing import features_task

FORMS = [
    "hybrid",
    "hybrid[pattern=mmma,m=mamba2[state=4,head_dim=4]]",
    "hybrid[pattern=mma,m=hawk[blocks=2],a=local-attention[chunk=8,heads=2]]",
    "hybrid[pattern=am,m=hgrn2[expand=4],a=transformer[positions=none]]",
]


def network(name: str, *, causal: bool = True, depth: int = 4) -> Network:
    with scope("network"):
        recipe = load_model(name)
        return recipe.assemble(Backbone, features_task(causal), 8, depth, 0.0).double().eval()


@pytest.mark.parametrize(
    ("pattern", "depth", "expected"),
    [("mmma", 8, "mmmammma"), ("mmma", 6, "mammma"), ("mmma", 2, "ma"), ("am", 5, "mamam")],
)
def test_the_pattern_repeats_and_ends_with_the_network(
    pattern: str, depth: int, expected: str
) -> None:
    layers = Hybrid(pattern=pattern).stack(depth=depth, width=8, length=4, causal=True)
    assert "".join("a" if isinstance(each, AttentionLayer) else "m" for each in layers) == expected


def test_each_recipe_stacks_its_own_layers() -> None:
    hybrid = Hybrid(pattern="mma", m="hgrn2[expand=4]")
    layers = hybrid.stack(depth=6, width=8, length=4, causal=True)
    gated = [each for each in layers if not isinstance(each, AttentionLayer)]
    assert [each.layer for each in gated] == [0, 1, 2, 3]
    assert len({id(each.bounds) for each in gated}) == 1


@pytest.mark.parametrize("name", FORMS)
@torch.no_grad()
def test_the_networks_steps_and_pieces_continue_the_sequence(name: str) -> None:
    whole_network = network(name)
    u = torch.randn(2, 9, 8, generator=stream("u"), dtype=torch.float64)
    whole = whole_network(u)
    before, state = whole_network.advance(u[:, :4], whole_network.initial_state(2))
    after, _ = whole_network.advance(u[:, 4:], state)
    torch.testing.assert_close(torch.cat([before, after], 1), whole)
    state = whole_network.prefill(u[:, :4])
    for position in range(4, 9):
        y, state = whole_network.step(u[:, position], state)
        torch.testing.assert_close(y, whole[:, position])
    single = whole_network.float()
    assert tensor_bytes(single.prefill(u[:1].float())) == single.state_bytes(9)


@pytest.mark.parametrize("causal", [True, False])
def test_padding_reaches_no_valid_position(causal: bool) -> None:
    padded_network = network("hybrid", causal=causal)
    u = torch.randn(2, 9, 8, generator=stream("u"), dtype=torch.float64)
    y = padded_network(u, torch.tensor([9, 4]))
    torch.testing.assert_close(y[1:, :4], padded_network(u[1:, :4]))


def test_what_trains_apart_in_either_does_in_the_hybrid() -> None:
    groups = Hybrid(m="s4d", a="mamba").parameter_groups()
    mamba, s4d = (dict(load_model(name).parameter_groups()) for name in ("mamba", "s4d"))
    assert mamba["D"] != s4d["D"]
    assert groups == mamba | s4d


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"pattern": "mmm"}, "each at least once"),
        ({"pattern": ""}, "each at least once"),
        ({"pattern": "mxa"}, "not 'mxa'"),
        ({"m": "mambo"}, "mambo"),
        ({"a": "transformer[head=3]"}, "head"),
        ({"a": "chance"}, "builds a whole network"),
    ],
)
def test_impossible_options_are_refused_in_a_sentence(options: dict, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        Hybrid(**options)
