"""Models of installed packages, by import path: `torch.nn:GRU`, `fla:GatedDeltaNet`, `hf:mamba2`.

A class that maps (b, l, d) to (b, l, d) becomes a mixer, a model type of `transformers` the body of
a network. The options are the constructor's own, so they are checked as any model's are. What a
constructor says of itself is not believed: whether a layer looks ahead is tried.

Axes: b batch, l positions, d width.
"""

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from harness.contract.batch import valid_positions
from harness.contract.model import Model, NetworkModel
from harness.contract.network import Mixer, Network, State
from harness.contract.task import Task
from harness.core.config import Option, parse_value
from harness.core.errors import SpecError, UnsupportedError, brief, unknown
from harness.core.seeding import stream
from harness.plugins.registry import Entry

WIDTHS = (
    "d_model", "hidden_size", "embed_dim", "model_dim", "dim", "width", "n_embd", "in_features",
)  # fmt: skip
"""What constructors call the width of their input, which is that of their output."""
ALSO = {"input_size": "hidden_size", "in_features": "out_features", "in_channels": "out_channels"}
"""What must be as wide as the input, too, by what the input's width is called."""
UNSET = ""
"""The value of an option that must be given: no class has a meaning for it."""
PROBED, USUAL = 8, 16
"""Positions on which a layer is tried, and the width."""
FUTURE = "{} sees the future, and this task asks for the past."


def recipe(entry: Entry) -> type[Any]:
    """Return the recipe of something that is installed; its fields are the constructor's options.

    Raises:
        SpecError: It does not exist, or can be no model.
    """
    package, _, name = entry.name.partition(":")
    if package == "hf":
        return _recipe(entry, HuggingFace, _config_options(name))
    try:
        found = getattr(importlib.import_module(entry.module), name, None)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise SpecError(f"{entry.module!r} cannot be imported for {entry.name!r}: {why}") from error
    if not (inspect.isclass(found) and issubclass(found, nn.Module)):
        layers = [
            key
            for key, value in vars(importlib.import_module(entry.module)).items()
            if inspect.isclass(value) and issubclass(value, nn.Module)
        ]
        raise unknown(f"layer of {entry.module}", name, layers)
    options, width = _constructor_options(entry.name, found)
    needed = tuple(key for key, value in options.items() if value == UNSET)
    return _recipe(entry, Layer, options, target=found, width_name=width, needed=needed)


def asked(recipe: Any) -> dict[str, Option]:
    """Return what differs from a recipe's defaults, and no dropout: that is the protocol's.

    The rest is left to the constructor, some of whose defaults follow from others.
    """
    own = {each.name: getattr(recipe, each.name) for each in dataclasses.fields(recipe)}
    return {
        each.name: 0.0 if _drops(each) and own[each.name] == each.default else own[each.name]
        for each in dataclasses.fields(recipe)
        if own[each.name] != each.default or _drops(each)
    }


def _drops(each: Any) -> bool:
    return isinstance(each.default, float) and ("drop" in each.name or each.name.endswith("pdrop"))


def _recipe(entry: Entry, base: type[Any], options: Mapping[str, Option], **held: Any) -> type[Any]:
    fields = [
        (key, type(value), dataclasses.field(default=value)) for key, value in options.items()
    ]
    made: type[Any] = dataclasses.make_dataclass(
        "Installed", fields, bases=(base,), frozen=True, kw_only=True, namespace=held
    )
    made.name = entry.name
    return made


def _constructor_options(name: str, target: type) -> tuple[dict[str, Option], str]:
    """Return a constructor's options with their defaults, and what it calls the width.

    Raises:
        SpecError: It takes no width, or needs something that cannot be typed.
    """
    known = _parameters(target)
    width = next((each for each in ("input_size", *WIDTHS) if each in known), "")
    if not width:
        raise SpecError(
            f"{name} takes no width ({', '.join(WIDTHS)}), so it cannot be built in a network; "
            "write a model of a few lines around it."
        )
    options: dict[str, Option] = {}
    for key, each in known.items():
        if key in {width, ALSO.get(width)} or each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            continue
        if isinstance(each.default, Option):
            options[key] = each.default
        elif each.default is each.empty:
            options[key] = UNSET
    return options, width


def _parameters(target: type) -> dict[str, inspect.Parameter]:
    """Return a constructor's parameters, and of its parents' what it passes on to them.

    What a parent needs and nobody may leave out, the class gives itself, but for a width.
    """
    found: dict[str, inspect.Parameter] = {}
    for owner in target.__mro__:
        if "__init__" not in vars(owner) or owner is nn.Module:
            continue
        own = [*inspect.signature(owner.__init__).parameters.values()][1:]  # type: ignore[misc]
        named = [p for p in own if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        for each in named:
            free = each.default is not each.empty or each.name in (*WIDTHS, *ALSO, *ALSO.values())
            if owner is target or free:
                found.setdefault(each.name, each)
        if len(named) == len(own):
            break
    return found


class Layer(Model):
    """A layer of an installed package in the harness's own backbone."""

    target: ClassVar[type[nn.Module]]
    width_name: ClassVar[str]
    needed: ClassVar[tuple[str, ...]]
    """Options without a default."""

    def __post_init__(self) -> None:
        """Try it, as far as it can be built at a usual width.

        Raises:
            SpecError: An option is missing, or it is no map of sequences.
        """
        if missing := [key for key in self.needed if key not in asked(self)]:
            raise SpecError(
                f"{self.name} needs its option {missing[0]!r}; write {self.name}[{missing[0]}=...]."
            )
        try:
            with torch.random.fork_rng(devices=[]):
                self.build(width=USUAL, length=PROBED, causal=False)
        except UnsupportedError as error:
            raise SpecError(str(error)) from error
        except SpecError:  # whoever builds it at another width is told, if that is no better
            return

    def skip(self, task: Task) -> str:
        """Leave out what asks for the past only, if it looks ahead."""
        with torch.random.fork_rng(devices=[]):
            mixer = self.build(width=USUAL, length=PROBED, causal=False)
        return FUTURE.format(self.name) if task.causal and not mixer.causal else ""

    def build(self, *, width: int, length: int, causal: bool) -> Mixer:  # noqa: ARG002
        """Build one, and see on a short sequence what it does.

        Raises:
            SpecError: It cannot be built with these options.
            UnsupportedError: It is no map of sequences, or looks ahead where it may not.
        """
        recipe: Any = self  # the dataclass that `_recipe` makes of it
        names = [each.name for each in dataclasses.fields(recipe)]
        given = {k: parse_value(v) if isinstance(v, str) else v for k, v in asked(self).items()}
        given |= {"batch_first": True} if "batch_first" in names else {}
        widths = dict.fromkeys(
            (self.width_name, *(w for w in (ALSO.get(self.width_name),) if w)), width
        )
        try:
            layer = self.target(**widths, **given)
        except Exception as error:
            raise SpecError(f"{self.name} cannot be built at width {width}: {error}") from error
        mixer = Wrapped(layer, self.name)
        mixer.causal = not looks_ahead(self.name, mixer, mixer, width)
        if causal and not mixer.causal:
            raise UnsupportedError(FUTURE.format(self.name))
        return mixer


class Wrapped(Mixer):
    """A layer with the contract's face for sequences."""

    def __init__(self, layer: nn.Module, name: str) -> None:
        super().__init__()
        self.layer, self.called = layer, name

    def initial_state(self, batch: int) -> State:  # noqa: ARG002
        """Refuse: nobody says what its state is.

        Raises:
            UnsupportedError: Always.
        """
        raise UnsupportedError(f"{self.called} has no step mode here, so it cannot decode.")

    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map features to features; of several results the first one counts.

        Raises:
            UnsupportedError: Its output is not as its input, or it would see padding.
        """
        if lengths is not None and not self.causal:
            raise UnsupportedError(f"{self.called} sees padding, which a task with lengths has.")
        found = self.layer(u)
        first: Tensor = found[0] if isinstance(found, tuple) else found
        if not isinstance(first, Tensor) or first.shape != u.shape:
            shape = tuple(first.shape) if isinstance(first, Tensor) else type(first).__name__
            raise UnsupportedError(
                f"{self.called} makes {shape} of {tuple(u.shape)}, so it is no map of sequences."
            )
        return first


@torch.no_grad()
def looks_ahead(
    name: str, module: nn.Module, mixes: Callable[[Tensor], Tensor], width: int
) -> bool:
    """Say whether a change of the last position changes an earlier one.

    Args:
        name: What it is called.
        module: What mixes, which is left in the mode in which it was.
        mixes: (b, l, d) to (b, l, d).
        width: d.

    Raises:
        UnsupportedError: It cannot be called with a sequence alone.
    """
    was = module.training
    module.eval()
    u, other = torch.randn(2, 1, PROBED, width, generator=stream("installed"))
    other[:, :-1] = u[:, :-1]
    try:
        a, b = mixes(u), mixes(other)
    except UnsupportedError:
        raise
    except Exception as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UnsupportedError(f"{name} cannot be called with a sequence: {why}") from error
    finally:
        module.train(was)
    return not torch.allclose(a[:, :-1], b[:, :-1], atol=1e-6)


def _config_options(kind: str) -> dict[str, Option]:
    """Return the options of a model type's configuration.

    Raises:
        SpecError: transformers is not installed, or has no such type.
    """
    try:
        from transformers import CONFIG_MAPPING  # noqa: PLC0415 - seconds that only this is worth
    except ImportError as error:
        raise SpecError(
            "Models of transformers need that package; run `pip install 'ssm-bench[peers]'`."
        ) from error
    if kind not in CONFIG_MAPPING:
        raise unknown("model type of transformers", kind, list(CONFIG_MAPPING))
    held = CONFIG_MAPPING[kind]().to_dict()
    own = {"hidden_size", "num_hidden_layers", "vocab_size", "model_type", "transformers_version"}
    return {k: v for k, v in held.items() if isinstance(v, Option) and k not in own}


class HuggingFace(NetworkModel):
    """A model type of transformers as a body between a task's encoder and its head."""

    def build_network(self, task: Task, *, width: int, depth: int) -> Network:
        """Build one of a width and a depth, with weights that are drawn.

        Raises:
            SpecError: It cannot be built at these sizes.
            UnsupportedError: It takes no features, or looks ahead where it may not.
        """
        from transformers import AutoConfig, AutoModel  # noqa: PLC0415 - as above

        kind = self.name.partition(":")[2]
        sizes = {"hidden_size": width, "num_hidden_layers": depth, "vocab_size": 1}
        unused = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
        try:
            config = AutoConfig.for_model(kind, **asked(self), **sizes, **unused)
            built_by: Any = AutoModel  # which is typed where transformers is installed only
            body = built_by.from_config(config)
        except Exception as error:
            why = brief(error)
            raise SpecError(f"{self.name} cannot be built at width {width}: {why}") from error
        network = Body(body, task, width)
        ahead = looks_ahead(self.name, network, network.hidden, width)
        with torch.enable_grad():
            network.hidden(torch.zeros(1, PROBED, width)).sum().backward()
        for parameter in body.parameters():  # such as those of a pooling layer that nobody asks
            parameter.requires_grad_(parameter.grad is not None)
            parameter.grad = None
        if ahead and task.causal:
            raise UnsupportedError(FUTURE.format(self.name))
        return network


class Body(Network):
    """A body of transformers with a task's own encoder and head."""

    def __init__(self, body: Any, task: Task, width: int) -> None:
        super().__init__()
        self.outputs = task.outputs
        self.encode = task.inputs.encoder(width)
        self.body = body
        self.body.get_input_embeddings().requires_grad_(False)  # `encode` stands in their place
        self.head = task.outputs.head(width)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map inputs to predictions; of a pair one sequence goes through after the other."""
        if self.outputs.documents > 1:
            inputs = inputs.flatten(0, 1)
            lengths = None if lengths is None else lengths.flatten()
        hidden = self.hidden(self.encode(inputs), lengths)
        predictions: Tensor = self.head(self.outputs.gather(hidden, lengths))
        return predictions

    def hidden(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map features to features."""
        if not u.numel():
            return u
        mask = None if lengths is None else valid_positions(u, lengths)
        found: Tensor = self.body(inputs_embeds=u, attention_mask=mask).last_hidden_state
        return found
