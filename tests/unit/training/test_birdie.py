"""Birdie's controller: what a gain is worth, and where the mixture goes."""

import pytest
import torch

from harness.training.birdie import Search, reward
from harness.training.curriculum import Curriculum, Mixture

SEARCH = Search(width=16, layers=1, candidates=128, steps=60)
KINDS = ["copying", "copying", "prefix"]


@pytest.mark.parametrize(
    ("before", "after", "earned"),
    [
        (4.5, 4.2, 0.952),
        (0.6, 0.5207, 0.954),
        (4.5, 4.4, 0.036),
        (2.0, 2.1, -0.189),
        (4.5, 4.15, 1.0),
        (1.0, 1.0, 0.0),
        (float("nan"), 1.0, 0.0),
        (0.0, 0.0, 0.0),
    ],
)
def test_a_reward_is_what_the_papers_code_gives(before, after, earned):
    found = reward(torch.tensor(before), torch.tensor(after))
    assert found.item() == pytest.approx(earned, abs=1e-3)


def figures(losses, rows=2):
    """Return what an evaluation leaves: rows of each configuration, of unlike sizes."""
    counts = torch.tensor([[5.0], [15.0]]).repeat(len(losses), 1)[: rows * len(losses)]
    means = torch.tensor(losses).repeat_interleave(rows)[:, None]
    return torch.cat([means * counts, counts], 1).double()


def mixture(search=SEARCH, kinds=KINDS):
    return Mixture(torch.full((len(kinds),), 1 / len(kinds)), kinds, search)


def trained(held, rounds):
    """Let one configuration gain by its share of what is trained, and the others not at all."""
    loss = 5.0
    for step in range(1, rounds + 1):
        loss -= 0.6 * float(held.at(10 * step - 1)[0])
        held.observe(10 * step, figures([loss, 2.0, 1.0]))
    return held


def test_the_mixture_goes_to_what_still_gains_and_nowhere_without_a_search():
    held = trained(mixture(), 14)
    late = torch.stack(held.mixtures[8:])
    assert late[:, 0].mean() > 0.4
    assert late[:, 0].mean() > late[:, 1:].mean(0).max()
    assert all(torch.equal(each, held.start) for each in trained(mixture(None), 6).mixtures)


def test_it_starts_with_the_mixture_that_it_is_given():
    held = trained(mixture(), 3)
    assert [torch.equal(each, held.start) for each in held.mixtures] == [True] * 3 + [False]
    assert held.mixtures[-1].sum() == pytest.approx(1)
    assert (held.mixtures[-1] > 0).all()


def test_losses_are_means_over_all_positions_of_a_configuration():
    held = mixture()
    held.observe(10, figures([5.0, 2.0, 1.0]))
    assert held.losses[0].tolist() == pytest.approx([5.0, 2.0, 1.0])


def test_what_was_held_at_a_step_is_known_afterwards_and_elsewhere():
    held, other = trained(mixture(), 5), mixture()
    other.load_state_dict(held.state_dict())
    for step in range(60):
        assert torch.equal(held.at(step), other.at(step))
    assert torch.equal(held.at(29), held.start)
    assert torch.equal(held.at(30), held.mixtures[3])
    assert torch.equal(held.at(1000), held.mixtures[5])
    after = figures([1.0, 1.0, 1.0])
    held.observe(60, after)
    other.observe(60, after)
    assert torch.equal(held.at(60), other.at(60))


def test_shares_are_told_by_class():
    [(since, shares)] = mixture().shares()
    assert (since, shares) == (0, {"copying": 0.6667, "prefix": 0.3333})
    assert Curriculum().shares() == []


def test_classes_count_alike_however_many_configurations_they_have():
    """Of two that gain alike, the one that is a class of its own is worth more."""
    kinds = ["copying"] * 3 + ["prefix"]
    held = mixture(kinds=kinds)
    losses = [5.0, 3.0, 3.0, 5.0]
    for step in range(1, 15):
        shares = held.at(10 * step - 1)
        losses[0] -= 0.6 * float(shares[0])
        losses[3] -= 0.6 * float(shares[3])
        held.observe(10 * step, figures(losses))
    late = torch.stack(held.mixtures[8:]).mean(0)
    assert late[3] > late[0]
