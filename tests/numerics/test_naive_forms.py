"""Operators of the linear attentions equal the naive forms that flash-linear-attention publishes.

The package `fla-core` of the extra `peers` carries them, in plain torch and float32. Each is loaded
from its own file: importing the package would ask for a GPU's compiler.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.scans.delta_rule import Gates, delta_rule
from baselines.ops.scans.gla import gla
from baselines.ops.scans.log_linear import log_linear_ssd
from baselines.ops.scans.mesa import mesa
from baselines.ops.scans.ssd import ssd
from harness.core.seeding import stream

BATCH, LENGTH, HEADS, KEYS, VALUES = 2, 200, 2, 16, 8
LEVELS = 9
"""Those of 200 positions."""


def naive(operator: str) -> Any:
    """Load the module of an operator's naive forms."""
    package = importlib.util.find_spec("fla")
    folders = list(package.submodule_search_locations or ()) if package else []
    files = [Path(folder, "ops", operator, "naive.py") for folder in folders]
    found = next((file for file in files if file.exists()), None)
    if found is None:
        pytest.skip("fla-core is not installed: pip install 'ssm-bench[peers]'")
    pytest.importorskip("einops")
    spec = importlib.util.spec_from_file_location(f"naive_{operator}", found)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def draw(*shape: int) -> Tensor:
    return torch.randn(BATCH, LENGTH, *shape, generator=stream("naive", *shape))


def signals() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw queries, unit keys, values and a state."""
    q, k = draw(HEADS, KEYS), draw(HEADS, KEYS + 1)[..., 1:]
    state = torch.randn(BATCH, HEADS, KEYS, VALUES, generator=stream("naive", "state"))
    return q, F.normalize(k, dim=-1), draw(HEADS, VALUES), state


def agree(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine - theirs).norm() < 1e-5 * theirs.norm()


def heads_first(form: Callable[..., tuple[Tensor, Tensor]]) -> Callable[..., Any]:
    """Let a form that wants heads before positions take and give them behind."""

    def turned(*parts: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
        y, state = form(*(part.transpose(1, 2) for part in parts), **options)
        return y.transpose(1, 2), state

    return turned


def test_deltanet() -> None:
    q, k, v, state = signals()
    beta = 2 * draw(HEADS).sigmoid()
    form = heads_first(naive("delta_rule").delta_rule_recurrence)
    gates = Gates(
        torch.zeros(BATCH, LENGTH, HEADS, 1), beta[:, :, None, :, None], beta[:, :, None, :, None]
    )
    found = delta_rule(q / KEYS**0.5, k[:, :, None], v[:, :, None], gates, state)
    agree(found, form(q, k, v, beta, initial_state=state))


def test_gated_deltanet() -> None:
    q, k, v, state = signals()
    beta, decay = draw(HEADS).sigmoid(), F.logsigmoid(draw(HEADS))
    gates = Gates(decay[..., None], beta[:, :, None, :, None], beta[:, :, None, :, None])
    found = delta_rule(q / KEYS**0.5, k[:, :, None], v[:, :, None], gates, state)
    form = naive("gated_delta_rule").naive_recurrent_gated_delta_rule
    agree(found, form(q, k, v, beta, decay, initial_state=state, output_final_state=True))


def test_gated_deltaproduct() -> None:
    q, _, _, state = signals()
    k, v, beta = F.normalize(draw(2, HEADS, KEYS), dim=-1), draw(2, HEADS, VALUES), draw(2, HEADS)
    beta, decay = 2 * beta.sigmoid(), F.logsigmoid(draw(HEADS))
    found = delta_rule(q, k, v, Gates(decay[..., None], beta[..., None], beta[..., None]), state)
    form = naive("gated_delta_product").naive_recurrent_gated_delta_product
    laid = (part.flatten(1, 2) for part in (k, v))
    agree(found, form(q, *laid, decay, beta.flatten(1, 2), 1.0, None, state, num_householder=2))


def test_kda() -> None:
    q, k, v, state = signals()
    beta, decay = draw(HEADS).sigmoid(), F.logsigmoid(draw(HEADS, KEYS))
    gates = Gates(decay, beta[:, :, None, :, None], beta[:, :, None, :, None])
    found = delta_rule(q / KEYS**0.5, k[:, :, None], v[:, :, None], gates, state)
    form = naive("kda").naive_recurrent_kda
    agree(found, form(q, k, v, decay, beta, initial_state=state, output_final_state=True))


def test_gla() -> None:
    q, k, v, state = signals()
    decay = F.logsigmoid(draw(HEADS, KEYS)) / 16
    form = naive("gla").naive_recurrent_gla
    expected = form(q, k, v, decay, initial_state=state, output_final_state=True)
    agree(gla(q / KEYS**0.5, k, v, decay.exp(), state), expected)


def test_retnet() -> None:
    q, k, v, state = signals()
    ones = torch.ones(BATCH, LENGTH, HEADS)
    gamma = 1 - 2.0 ** (-5 - torch.arange(HEADS))
    form = heads_first(lambda *parts: (naive("retention").naive_retention(*parts), state))
    found = ssd(v, ones, gamma.log().expand_as(ones), k, q / KEYS**0.5, 0 * state)
    agree((found[0], state), form(q, k, v))


def test_log_linear_attention() -> None:
    q, k, v, state = signals()
    decay, scales = F.logsigmoid(draw(HEADS)), draw(HEADS, LEVELS).exp()
    expected = naive("log_linear_attn").naive_log_linear_attn(q, k, v, decay, scales)
    held = torch.zeros(BATCH, LEVELS - 1, HEADS, KEYS, VALUES)
    y, _ = log_linear_ssd(v, decay, k, q, scales, (held, torch.tensor(0)))
    agree((y, state), (expected, state))


def test_mesanet() -> None:
    q, k, _, _ = signals()
    v, beta, decay = draw(HEADS, KEYS), draw(HEADS).sigmoid(), F.logsigmoid(draw(HEADS))
    ridge = 0.25 + torch.rand(HEADS, KEYS, generator=stream("naive", "ridge"))
    expected, _, sums = naive("mesa_net").naive_mesa_net_exact(q, k, v, decay, ridge, beta)
    empty = torch.zeros(2, BATCH, HEADS, KEYS, KEYS).unbind()
    y, (_, G) = mesa((q, k, v), decay, beta, ridge, empty, steps=30)
    agree((y, G), (expected, sums))
