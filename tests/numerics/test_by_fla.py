"""Other people's kernels are asked for what ours compute, and give it back as ours.

No GPU runs them here. A stand-in has the very signature of the function in the installed package,
read from its source, and computes by the naive form that the package publishes, in double
precision; so what is made up for (scales, axes, logarithms, states) is seen to be right.
"""

import ast
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.ops.forms import chosen
from baselines.ops.kernels import installed, launch
from baselines.ops.scans import by_fla, delta_rule, gla, ssd
from baselines.ops.scans.delta_rule import Gates
from harness.core.errors import SpecError
from harness.core.seeding import stream
from harness.plugins.loading import load_model
from tests.numerics.interpreted import with_gradients
from tests.numerics.test_naive_forms import naive

BATCH, LENGTH, HEADS, KEYS, VALUES = 2, 7, 4, 5, 3
NAIVE = {
    ("gated_delta_rule", "chunk_gated_delta_rule"): "naive_recurrent_gated_delta_rule",
    ("gated_delta_product", "chunk_gated_delta_product"): "naive_recurrent_gated_delta_product",
    ("kda", "chunk_kda"): "naive_recurrent_kda",
    ("gla", "chunk_gla"): "naive_recurrent_gla",
    ("simple_gla", "chunk_simple_gla"): "naive_recurrent_simple_gla",
}


class OnCuda(torch.Tensor):
    """Says that it lies on a CUDA device."""

    is_cuda = True


def draw(*shape: int) -> Tensor:
    rng = stream("by fla", *shape)
    return torch.randn(BATCH, *shape, generator=rng, dtype=torch.float64).requires_grad_()


def bound(operator: str, function: str) -> Callable[..., dict[str, Any]]:
    """Return a function of the signature of an installed one, which gives back its arguments."""
    package = importlib.util.find_spec("fla")
    assert package
    folder = Path((package.submodule_search_locations or [""])[0])
    tree = ast.parse((folder / "ops" / operator / "chunk.py").read_text(encoding="utf-8"))
    found = next(x for x in tree.body if isinstance(x, ast.FunctionDef) and x.name == function)
    for each in ast.walk(found.args):
        if isinstance(each, ast.arg):
            each.annotation = None
    found.decorator_list, found.returns = [], None
    found.body = ast.parse("return locals()").body
    scope: dict[str, Any] = {}
    exec(compile(ast.Module([found], []), function, "exec"), scope)
    return scope[function]


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Put stand-ins in the place of the package's modules; return what they are called with."""
    calls: list[dict[str, Any]] = []
    # The naive forms compute in single precision, whatever they are given.
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    double = {**vars(torch), "float32": torch.float64, "float": torch.float64}
    for (operator, name), form in NAIVE.items():
        source = naive(operator)
        source.torch = SimpleNamespace(**double)
        module = ModuleType(f"fla.ops.{operator}")
        setattr(module, name, stand_in(bound(operator, name), getattr(source, form), calls))
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return calls


def stand_in(arguments: Callable[..., dict[str, Any]], form: Any, calls: list[Any]) -> Any:
    def called(*given: Any, **named: Any) -> tuple[Tensor, Tensor]:
        asked = arguments(*given, **named)
        calls.append(asked)
        known = set(form.__code__.co_varnames[: form.__code__.co_argcount])
        passed = {key: value for key, value in asked.items() if key in known}
        if "gk" in known:  # The naive form of GLA has a name of its own for gates, and no scale.
            passed |= {"gk": asked["g"], "q": asked["q"] * asked["scale"] * KEYS**0.5}
        # It changes the state that it is given.
        passed["initial_state"] = asked["initial_state"].clone()
        return form(**passed)

    return called


def agree(form: Any, twin: Any, leaves: list[Tensor]) -> None:
    found, expected = with_gradients(form, leaves), with_gradients(twin, leaves)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("steps", "decays"), [(1, 1), (2, 1), (1, KEYS)])
def test_the_delta_rule_is_theirs(steps: int, decays: int, stand_ins: list[Any]) -> None:
    def of(rule: Any) -> Any:
        def ran(q, k, v, decay, beta, state):
            share = 2 * beta.sigmoid()
            gates = Gates(F.logsigmoid(decay), share, share)
            return rule(q, F.normalize(k, dim=-1), v, gates, state)

        return ran

    shapes = (HEADS, KEYS), (steps, HEADS, KEYS), (steps, HEADS, VALUES)
    leaves = [draw(LENGTH, *shape) for shape in (*shapes, (HEADS, decays), (steps, HEADS, 1))]
    leaves.append(draw(HEADS, KEYS, VALUES))
    agree(of(by_fla.delta_rule), of(delta_rule.recurrent_delta_rule), leaves)
    assert len(stand_ins) == 1


def test_gated_linear_attention_is_theirs() -> None:
    def of(form: Any) -> Any:
        return lambda q, k, v, f, state: form(q, k, v, f.sigmoid(), state)

    shapes = [(LENGTH, HEADS, n) for n in (KEYS, KEYS + 1, VALUES, KEYS)]
    q, k, v, f = (draw(*shape) for shape in shapes)
    k = k.detach()[..., 1:].requires_grad_()
    leaves = [q, k, v, f, draw(HEADS, KEYS, VALUES)]
    agree(of(by_fla.gla), of(gla.recurrent_gla), leaves)


def test_a_gate_that_is_shut_gives_no_number_that_is_none() -> None:
    q, v, state = draw(LENGTH, HEADS, KEYS), draw(LENGTH, HEADS, VALUES), draw(HEADS, KEYS, VALUES)
    shut = torch.ones_like(q).detach()
    shut[:, 3] = 0
    expected = gla.recurrent_gla(q, q, v, shut, state)
    torch.testing.assert_close(by_fla.gla(q, q, v, shut.requires_grad_(), state), expected)
    sum(part.sum() for part in by_fla.gla(q, q, v, shut, state)).backward()
    assert shut.grad is not None
    assert shut.grad.isfinite().all()


@pytest.mark.parametrize("groups", [1, 2, HEADS])
def test_state_space_duality_is_theirs(groups: int) -> None:
    def of(form: Any) -> Any:
        return lambda x, dt, a, B, C, state: form(x, F.softplus(dt), F.logsigmoid(a), B, C, state)

    x, dt, a = draw(LENGTH, HEADS, VALUES), draw(LENGTH, HEADS), draw(LENGTH, HEADS, 1)
    B, C = draw(LENGTH, groups, KEYS), draw(LENGTH, groups, KEYS + 1)
    C = C.detach()[..., 1:].requires_grad_()
    leaves = [x, dt, a.detach()[..., 0].requires_grad_(), B, C, draw(HEADS, KEYS, VALUES)]
    agree(of(by_fla.ssd), of(ssd.recurrent_ssd), leaves)


def test_under_autocast_they_multiply_in_its_precision_and_keep_decays_and_states(
    monkeypatch: pytest.MonkeyPatch, stand_ins: list[Any]
) -> None:
    monkeypatch.undo()
    calls: list[dict[str, Any]] = []

    def chunk_gla(**given: Any) -> tuple[Tensor, Tensor]:
        calls.append(given)
        return given["v"], given["initial_state"]

    module = ModuleType("fla.ops.gla")
    module.chunk_gla = chunk_gla  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: True)
    monkeypatch.setattr(torch, "get_autocast_dtype", lambda _: torch.bfloat16)
    x, state = torch.rand(1, 2, 1, 3), torch.zeros(1, 1, 3, 3)
    y, _ = by_fla.gla(x, x, x, x, state)
    precisions = {name: calls[0][name].dtype for name in ("q", "k", "v", "g", "initial_state")}
    assert precisions.pop("g") == precisions.pop("initial_state") == torch.float32
    assert set(precisions.values()) == {torch.bfloat16}
    assert y.dtype == torch.float32


@pytest.mark.parametrize(
    ("asked", "dtype", "tf32", "form"),
    [
        ("triton", torch.bfloat16, False, "triton"),
        ("fla,triton", torch.bfloat16, False, "fla"),
        ("fla", torch.float32, True, "fla"),
        ("fla,triton", torch.float32, False, "triton"),
        ("fla", torch.float32, False, "torch"),
        ("fla", torch.float64, True, "torch"),
        ("torch", torch.bfloat16, False, "torch"),
    ],
)
def test_they_run_where_they_are_asked_for_and_may_round(
    asked: str, dtype: torch.dtype, tf32: bool, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(installed.SWITCH, asked)
    monkeypatch.setattr(installed, "is_installed", lambda name: True)
    monkeypatch.setattr(by_fla, "may_round", lambda x: tf32 or launch.may_round(x))
    x = torch.zeros(1, dtype=dtype).as_subclass(OnCuda)
    rule = {"shared": True, "one_gate": True, "steps": 1, "keys": 8}
    assert chosen(gla.FORMS, x, widest=8).name == form
    assert chosen(ssd.FORMS, x, widest=8).name == form
    assert chosen(delta_rule.FORMS, x, **rule).name == form


@pytest.mark.parametrize(
    "wrong", [{"shared": False}, {"one_gate": False}, {"keys": 257}, {"steps": 2}]
)
def test_rules_that_they_do_not_know_are_not_given_to_them(
    wrong: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_fla, "runs", lambda name: True)
    monkeypatch.setattr(by_fla, "may_round", lambda x: True)
    x = torch.zeros(1).as_subclass(OnCuda)
    known = {"shared": True, "one_gate": True, "steps": 1, "keys": 256}
    assert by_fla.fits_rule(x, **known)
    assert not by_fla.fits_rule(x, **known | wrong)


def test_nobody_is_asked_for_whom_no_operator_knows() -> None:
    with pytest.raises(SpecError, match=r"SSM_BENCH_KERNELS may name triton, fla, .*, not flaa"):
        installed.asked("triton,flaa")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(
    "name",
    ["deltanet", "gated-deltanet", "gated-deltaproduct", "kda", "gla", "hgrn2", "mamba2", "retnet"],
)
def test_a_layer_by_their_kernels_gives_what_it_gives_by_ours(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fla.ops")
    monkeypatch.undo()
    layer = load_model(name).build(width=64, length=200, causal=True).cuda()
    u = torch.randn(2, 200, 64, generator=stream("u")).cuda()
    found = {}
    for asked in ("triton", "fla,triton"):
        monkeypatch.setenv(installed.SWITCH, asked)
        with torch.autocast("cuda", torch.bfloat16):
            leaves = [u.clone().requires_grad_(), *layer.parameters()]
            y = layer(leaves[0])
            found[layer.path()] = [y, *torch.autograd.grad(y.float().square().mean(), leaves)]
    assert set(found) == {"triton", "fla"}
    for mine, theirs in zip(*found.values(), strict=True):
        assert (mine - theirs).norm() <= 3e-2 * mine.norm()
