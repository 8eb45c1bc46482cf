"""No option of a model is without effect: what would have none is refused."""

from collections.abc import Iterator
from dataclasses import Field, fields, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch

from harness.api import Model, Network, SpecError, UnsupportedError
from harness.core.seeding import scope, stream
from harness.nn.backbone import Backbone
from harness.plugins.loading import load_model
from harness.plugins.registry import registry
from harness.testing import features_task

NAMES = [name for name in registry().of("model") if isinstance(load_model(name), Model)]
TASK = features_task(causal=True)
FORMS = {("s4", "mode"), ("transformer", "backend")}
"""Options that choose between several ways to compute the same numbers."""
WIDTH = 32
TEXTS = {"pattern": ["am"], "m": ["gru"], "a": ["lstm"]}
"""Other values of options that take text."""
SMALL = {
    **{name: f"{name}[state=8]" for name in ("s4", "s4d", "dss", "dlr", "mamba2")},
    "jamba": "jamba[experts=4,top=1]",
    "mesanet": "mesanet[steps=4]",
    "rwkv7": "rwkv7[head_dim=8]",
    "sgconv": "sgconv[piece=4]",
}
"""Recipes to begin with, where the default is slow or made for longer sequences."""


def others(recipe: Model, option: Field) -> list[Any]:
    """Return other values of an option: all words and truths, or one number."""
    kind, value = get_type_hints(type(recipe))[option.name], getattr(recipe, option.name)
    if kind is bool:
        return [not value]
    if kind is str:
        return TEXTS[option.name]
    if get_origin(kind) is Literal:
        return [word for word in get_args(kind) if word != value]
    return [value // 2 or value + 1] if kind is int else [value / 2 or 0.01]


def changed(recipe: Model) -> Iterator[tuple[str, Model]]:
    """Yield the recipe with another value of one option, unless it refuses that."""
    for option in fields(recipe):
        for value in others(recipe, option):
            try:
                yield option.name, replace(recipe, **{option.name: value})
            except SpecError:
                continue


def seen(recipe: Model) -> tuple[object, ...]:
    """Return what shows of a recipe: parameters, rates, outputs, its state; nothing if refused."""
    with scope("options"):
        try:
            network: Network = recipe.assemble(Backbone, TASK, WIDTH, 2, 0.0)
        except SpecError:
            return ()
        # Some options bound what parameters may become, and show where training has moved them.
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
    u = torch.randn(1, TASK.max_length, 8, generator=stream("options"))
    try:
        with torch.no_grad():
            # Not their sum, which the last norm makes nearly the same for all.
            outputs = tuple(network(u).flatten().tolist())
        held = network.state_bytes(TASK.max_length)
    except UnsupportedError as error:
        held = str(error)
    parameters = network.named_parameters()
    begun = [(name, *p.shape, p.sum().item(), p.requires_grad) for name, p in parameters]
    return outputs, held, *begun, repr(recipe.parameter_groups())


@pytest.mark.parametrize("name", NAMES)
def test_whatever_else_is_chosen_another_value_of_an_option_shows(name: str) -> None:
    first = load_model(SMALL.get(name, name))
    found = seen(first)
    for option, base in changed(first):
        if (name, option) in FORMS:
            continue
        before = seen(base)
        assert before != found, f"{option} does nothing in {base}"
        # A word or a truth may take the meaning from other options; a number does not.
        if type(getattr(base, option)) in {int, float}:
            continue
        for other, recipe in dict(changed(base)).items():
            if before and other != option and (name, other) not in FORMS:
                assert seen(recipe) != before, f"{other} does nothing in {recipe}"
