"""What is measured: our layers and steps, other people's, textbook forms, and bare operators.

Every side is built for the same width, state and length as the one beside it, with the same inputs.
A side's text is `KIND:NAME`: `layer:s4d[state=64]` and `step:lstm` are ours, `products:lstm` are
the bare matrix products of the same block, `peer:mambapy` is anything else.

Axes: b batch, l length, d width, n modes.
"""

import importlib
import sys
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from benchmarks.benchmark import Case
from benchmarks.selective_scan import STATES as SCAN_STATE
from benchmarks.selective_scan import SelectiveScan
from harness.contract.model import Model
from harness.contract.network import Mixer
from harness.core.errors import UnsupportedError
from harness.core.seeding import scope, stream
from harness.nn.backbone import Block
from harness.nn.position_wise import feed_forward
from harness.plugins.loading import load_model

from .ask import Ask
from .textbook import CauchyS4, TextbookS4D

STATE = 64
"""States of the linear models in every comparison; Mamba has those of its benchmark."""
LONG = 65_536
"""Positions at which models are asked whether their state still grows."""


def built(side: str, ask: Ask) -> Case:
    """Build a side: its weights and its inputs, so that a call does nothing but what is timed."""
    kind, _, name = side.partition(":")
    with scope("peers", "init"):
        if kind == "peer":
            made = PEERS[name](ask)
            return layer_case(made, ask) if isinstance(made, nn.Module) else Case(made)
        if kind == "layer":
            return layer_case(mixer_of(name, ask.width, ask.length), ask)
        block = block_of(name, ask.width, ask.length)
        return step_case(block, ask) if kind == "step" else Case(products(block, ask.steps))


def layer_case(layer: nn.Module, ask: Ask) -> Case:
    """Call a layer on one sequence: forward without gradients, or forward and backward."""
    u = torch.randn(1, ask.length, ask.width, generator=stream("peers", "inputs"))
    path = layer.path if isinstance(layer, Mixer) else str
    if ask.call == "forward":
        layer.eval()
        return Case(torch.no_grad()(lambda: layer(u)), path=path)
    slope = torch.randn(u.shape, generator=stream("peers", "slope"))
    leaves = [u, *(weight for weight in layer.parameters() if weight.requires_grad)]
    case = Case(lambda: layer(u), leaves, slope)
    return Case(case.training, path=path)


def step_case(block: Block, ask: Ask) -> Case:
    """Generate behind a context; the state goes on from call to call."""
    context = torch.randn(1, ask.length, ask.width, generator=stream("peers", "inputs"))
    with torch.no_grad():
        state = block.mixer.prefill(context)
    u = context[:, -1].clone()

    @torch.no_grad()
    def call() -> None:
        nonlocal state
        for _ in range(ask.steps):
            _, state = block.step(u, state)

    return Case(call, path=block.mixer.path)


def products(block: Block, steps: int) -> Callable[[], object]:
    """Multiply a vector by every matrix of a block: what no step can leave out."""
    weights = matrices(block)
    pairs = [(weight, torch.ones(weight.shape[1]), torch.empty(len(weight))) for weight in weights]

    @torch.no_grad()
    def call() -> None:
        for _ in range(steps):
            for weight, vector, out in pairs:
                torch.mv(weight, vector, out=out)

    return call


def matrices(block: nn.Module) -> list[Tensor]:
    """Return every parameter with two axes or more, as its first axis by the rest.

    Complex ones are stored as pairs of reals, so theirs count twice.
    """
    return [p.detach().flatten(1) for p in block.parameters() if p.ndim > 1]


@cache
def block_of(name: str, width: int, length: int) -> Block:
    """Build the block that the backbone puts around a model's mixer, ready for steps.

    One for both sides that ask for it, so that the bare products find the weights where the step
    finds them.
    """
    model = load_model(name)
    assert isinstance(model, Model)
    mixer = mixer_of(name, width, length)
    ffn = model.feed_forward(width=width, layer=0) or feed_forward(model.trunk, width, 0.0)
    return Block(mixer, ffn, model.trunk, width, 0.0).eval()


def mixer_of(name: str, width: int, length: int) -> Mixer:
    """Build a model's causal layer."""
    model = load_model(name)
    assert isinstance(model, Model)
    return model.build(width=width, length=length, causal=True)


def traits(name: str) -> dict[str, bool]:
    """Ask a model whether it has a layer, steps, and a state that the length does not grow."""
    model = load_model(name)
    if not isinstance(model, Model):
        return {"layer": False, "steps": False, "bounded": False}
    mixer = mixer_of(name, 64, LONG)
    try:
        bounded = mixer.state_bytes(4 * LONG) <= mixer.state_bytes(LONG)
    except UnsupportedError:
        return {"layer": True, "steps": False, "bounded": True}
    return {"layer": True, "steps": True, "bounded": bounded}


def textbook_s4d(ask: Ask) -> nn.Module:
    """Build S4D as its paper's appendix does, beside our own."""
    return TextbookS4D(mixer_of(f"s4d[state={STATE}]", ask.width, ask.length))


def cauchy_s4(ask: Ask) -> nn.Module:
    """Build S4 with its paper's kernel."""
    return CauchyS4(mixer_of(f"s4[state={STATE}]", ask.width, ask.length), ask.length)


def mambapy(ask: Ask) -> nn.Module:
    """Build the block of the package mambapy, with its parallel scan."""
    package = importlib.import_module("mambapy.mamba")
    config = package.MambaConfig(d_model=ask.width, n_layers=1, d_state=SCAN_STATE)
    block: nn.Module = package.MambaBlock(config)
    return block


def transformers(ask: Ask) -> nn.Module:
    """Build the mixer of the package transformers, on its path without kernels."""
    package = importlib.import_module("transformers.models.mamba.modeling_mamba")
    config = package.MambaConfig(
        hidden_size=ask.width, state_size=SCAN_STATE, num_hidden_layers=1, use_mambapy=False
    )
    mixer: nn.Module = package.MambaMixer(config, 0)
    return mixer


def mamba2_transformers(ask: Ask) -> nn.Module:
    """Build Mamba-2's mixer of the package transformers, which scans by chunks without kernels."""
    package = importlib.import_module("transformers.models.mamba2.modeling_mamba2")
    head = min(64, 2 * ask.width)
    config = package.Mamba2Config(
        hidden_size=ask.width,
        state_size=STATE,
        num_heads=2 * ask.width // head,
        head_dim=head,
        n_groups=1,
    )
    mixer: nn.Module = package.Mamba2Mixer(config, 0)
    return mixer


def qwen3_next(ask: Ask) -> nn.Module:
    """Build the gated delta rule of the package transformers, which solves chunks without kernels.

    Queries and keys are as wide as the layer, values twice, in two heads, as ours.
    """
    # Where fla is installed it would take its kernels, which need a GPU; so it finds none.
    sys.modules.setdefault("fla", None)  # type: ignore[arg-type]
    package = importlib.import_module("transformers.models.qwen3_next.modeling_qwen3_next")
    config = package.Qwen3NextConfig(
        hidden_size=ask.width,
        num_hidden_layers=1,
        layer_types=["linear_attention"],
        linear_num_key_heads=2,
        linear_num_value_heads=2,
        linear_key_head_dim=ask.width // 2,
        linear_value_head_dim=ask.width,
    )
    layer: nn.Module = package.Qwen3NextGatedDeltaNet(config, 0)
    return layer


def s5_pytorch(ask: Ask) -> nn.Module:
    """Build the layer of the package s5-pytorch, which keeps every complex state."""
    layer: nn.Module = importlib.import_module("s5").S5(ask.width, STATE)
    return layer


def selective_scan(ask: Ask) -> Callable[[], object]:
    """Scan without gradient, over as many channels as a block has inside."""
    return SelectiveScan().build("selective_scan", ask.length, 2 * ask.width).call


def exponentials(ask: Ask) -> Callable[[], object]:
    """Take torch's `exp` of as many numbers as a block's scan has, into memory held already."""
    numbers = torch.rand(ask.length, 2 * ask.width * SCAN_STATE)
    out = torch.empty_like(numbers)
    return lambda: torch.exp(numbers, out=out)


PEERS: dict[str, Callable[[Ask], nn.Module | Callable[[], object]]] = {
    "textbook-s4d": textbook_s4d,
    "cauchy-s4": cauchy_s4,
    "mambapy": mambapy,
    "transformers": transformers,
    "mamba2-transformers": mamba2_transformers,
    "qwen3-next": qwen3_next,
    "s5-pytorch": s5_pytorch,
    "selective-scan": selective_scan,
    "exp": exponentials,
}
