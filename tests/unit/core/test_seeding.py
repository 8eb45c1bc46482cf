"""Streams are named: what is drawn depends on the name and on nothing else."""

import torch

from harness.core.seeding import scope, stream


def test_a_stream_of_one_name_always_draws_the_same():
    torch.manual_seed(1)
    first = torch.rand(4, generator=stream("a", 1))
    torch.manual_seed(2)

    assert torch.equal(first, torch.rand(4, generator=stream("a", 1)))


def test_streams_of_other_names_draw_otherwise():
    draws = [torch.rand(4, generator=stream(*name)) for name in [("a", 1), ("a", 2), ("a1", "")]]

    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_a_scope_feeds_the_global_generator_and_leaves_it_as_it_was():
    before = torch.random.get_rng_state()
    with scope("init"):
        first = torch.nn.Linear(3, 3).weight
    between = torch.random.get_rng_state()
    with scope("init"):
        second = torch.nn.Linear(3, 3).weight

    assert torch.equal(first, second)
    assert torch.equal(before, between)
