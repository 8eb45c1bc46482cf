"""Frozen values that say what is run: names with options, protocols, runs.

Nothing here imports torch, so the command line, the store and the reports can hold these values
while staying small. A run is what was chosen: two equal choices have one name, a hash, and what
nobody chose has no part in it, so an option that comes later renames nothing.
"""

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, Self, TypeVar, final, get_args, get_origin, get_type_hints

from harness.core.errors import SpecError, quoted, unknown

Option = bool | int | float | str
"""What an option of a recipe may hold; anything richer could not be typed at a prompt."""

N = TypeVar("N", int, float)
NAME = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9_/-]*|[A-Za-z_][\w.]*:[A-Za-z_][\w.-]*)"
    r"(@(?P<version>\d{1,9}))?(\[(?P<options>.*)\])?"
)
"""A plugin's name, or the import path of an installed class: `torch.nn:GRU`."""

APART = re.compile(r",(?![^\[\]]*\])")
"""The commas between options, and not those within the brackets of one."""

LARGEST = 1 << 64
"""Whole numbers from here on, of either sign, cannot be read from JSON."""
MOST_BYTES = 1 << 60
LONGEST_S = 9e9
"""Seconds beyond which no system waits: centuries."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What is held equal between the models that a table compares."""

    version: int = 1
    """Raised when the meaning of any field, or of what is timed, changes."""
    steps: int = 1000
    """Optimiser steps; 0 for as many as fit into `seconds`, to which schedule and scoring adapt."""
    seconds: float = 0.0
    """Stop training after this many timed seconds, if sooner than `steps`; 0 for no such limit."""
    batch: int = 32
    """Examples in a batch."""
    width: int = 64
    """Features of the backbone."""
    depth: int = 2
    """Blocks of the backbone."""
    dropout: float = 0.0
    """Share of features dropped in training."""
    lr: float = 0.0
    """Learning rate of all that has none of its own; 0 for the recipe's."""
    lr_scale: float = 1.0
    """Factor on every learning rate: that one, and those of what a recipe sets apart.

    Recipes have the rates of their papers' long trainings; a short one may want larger steps.
    """
    weight_decay: float = 0.01
    """AdamW's decay; biases, norms and what a recipe sets apart are exempt."""
    warmup: float = 0.1
    """Share of the steps over which the learning rate rises linearly."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """What the learning rate does after the warm-up."""
    clip: float = 0.0
    """Largest norm of the whole gradient; 0 for no clipping."""
    precision: Literal["32-true", "bf16-mixed", "64-true"] = "32-true"
    """Of parameters and of arithmetic."""
    evaluations: int = 5
    """How often during training the validation split is scored."""
    budget_s: float = 60.0
    """The most seconds that one measured workload may be predicted to take before it is not run."""
    vary: Literal["init", "data", "both"] = "init"
    """What a seed decides: initial values and dropout, the draw of the training data, or both."""
    match: str = ""
    """What each model's width is chosen for, such as `parameters=200000`; empty: `width` holds."""
    sweep: str = ""
    """What is chosen on validation and among what: `lr_scale=0.3,1,3;state=16,64`."""
    trial: bool = False
    """Whether the run only helps to choose: it is scored on validation, and nothing is tested."""
    devices: int = 1
    """Devices that train together, each on `batch` examples of every step."""
    strategy: Literal["ddp"] = "ddp"
    """How they share the work: each has the whole network, and gradients are averaged."""
    pretrain: Literal["", "self", "ntp", "ul2", "fixed", "birdie"] = ""
    """What a network is trained on first, of the training inputs alone; empty for nothing."""
    pretrain_share: float = 0.5
    """Share of the steps or seconds that goes to it; the labels have the rest."""

    def __post_init__(self) -> None:
        sizes = ("steps", "devices", "batch", "width", "depth", "lr_scale", "budget_s")
        for name in ("pretrain_share", *sizes[1 if self.steps == 0 and self.seconds else 0 :]):
            if not 0 < getattr(self, name) < math.inf:
                raise SpecError(f"{name} must be positive, not {getattr(self, name)}.")
        for name in ("seconds", "lr", "weight_decay", "clip", "evaluations"):
            if not 0 <= getattr(self, name) < math.inf:
                raise SpecError(f"{name} must be 0 or more, not {getattr(self, name)}.")
        for name in ("dropout", "warmup", "pretrain_share"):
            if not 0 <= getattr(self, name) < 1:
                raise SpecError(f"{name} must be from 0 to less than 1, not {getattr(self, name)}.")

    def changed(self, options: Mapping[str, Option]) -> "Protocol":
        """Return a copy with some fields replaced.

        Raises:
            SpecError: A field does not exist, or a value has the wrong type.
        """
        return dataclasses.replace(self, **checked_options(Protocol, options, "the protocol"))

    @property
    def swept(self) -> tuple[str, ...]:
        """Names of the fields and of the model's options that `sweep` chooses."""
        return tuple(part.partition("=")[0] for part in self.sweep.split(";") if part)

    @property
    def derived(self) -> frozenset[str]:
        """Names of the fields whose values nobody asked for: they followed from the others."""
        return frozenset((*self.swept, *(["width"] if self.match else [])))

    @property
    def chosen(self) -> dict[str, Option]:
        """The version, which stands for the defaults, and the fields that differ from them.

        What is derived is not among them, so it has no part in a run's name.
        """
        defaults = {each.name: getattr(Protocol, each.name) for each in dataclasses.fields(self)}
        # An integer that stands for a float is that float, however it was written.
        held = {name: type(default)(getattr(self, name)) for name, default in defaults.items()}
        derived = self.derived
        rest = {
            name: value
            for name, value in held.items()
            if value != defaults[name] and name not in derived
        }
        return {"version": self.version, **rest}


@final
class Selector(str):
    """A name with options, as people type it: `s4d[state=32]`, `synthetic/shift@1[length=512]`.

    It is that text, read once: a key, a cell of a table and a string in JSON as it is, with its
    parts beside it. Options stand in the order of the alphabet, so equal ones are equal texts.
    """

    name: str
    options: Mapping[str, Option]
    version: int | None

    def __new__(cls, text: str) -> Self:
        """Read `name`, `name@version` and `name[option=value,...]`.

        Raises:
            SpecError: The text has another form.
        """
        if isinstance(text, cls):
            return text
        match = NAME.fullmatch(text.strip())
        if match is None or not text.isprintable():
            raise SpecError(
                f"{quoted(text)} is not a name; write it like 's4d' or 's4d[state=32]', "
                "in lower case."
            )
        version = int(match["version"]) if match["version"] else None
        return cls.of(match["name"], parse_options(match["options"] or ""), version)

    @classmethod
    def of(
        cls,
        name: str,
        options: Mapping[str, Option] = MappingProxyType({}),
        version: int | None = None,
    ) -> Self:
        """Put a selector together from its parts."""
        at = "" if version is None else f"@{version}"
        options = dict(sorted(options.items()))
        inner = ",".join(f"{key}={show(value)}" for key, value in options.items())
        made = super().__new__(cls, name + at + (f"[{inner}]" if inner else ""))
        made.name, made.options, made.version = name, options, version
        return made

    def without(self, *options: str) -> "Selector":
        """Leave options out."""
        rest = {key: value for key, value in self.options.items() if key not in options}
        return Selector.of(self.name, rest, self.version)

    @property
    def label(self) -> "Selector":
        """The same without its version: what people read."""
        return Selector.of(self.name, self.options)


@dataclass(frozen=True, kw_only=True, init=False)
class RunSpec:
    """One run: a task, a model, a protocol, a seed, a device.

    As people and presets write it, `task` and `model` may leave options out and `protocol` may be
    None; `planned` by the worker, both versions stand in it with the options that differ from their
    defaults, and `run_id` is its name.
    """

    task: Selector
    model: Selector
    protocol: Protocol | None = None
    """None asks for the task's own protocol."""
    seed: int = 0
    device: str = "cpu"
    """`cpu` or `cuda`."""

    def __init__(
        self,
        *,
        task: str,
        model: str,
        protocol: Protocol | None = None,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        """Take the values; `task` and `model` may be text.

        Raises:
            SpecError: One of them cannot be read.
        """
        names = {"task": Selector(task), "model": Selector(model)}
        vars(self).update(names, protocol=protocol, seed=seed, device=device)

    @property
    def asked(self) -> Selector:
        """The model as it was asked for: without the options that a sweep chooses."""
        if self.protocol is None:
            return self.model
        return self.model.without(*(set(self.protocol.swept) - vars(self.protocol).keys()))

    @property
    def training(self) -> "RunSpec":
        """Without how it was chosen: a trial and the run that it decides have the same."""
        if self.protocol is None:
            return self
        protocol = dataclasses.replace(self.protocol, sweep="", trial=False)
        return dataclasses.replace(self, protocol=protocol)

    @property
    def init(self) -> int:
        """Which initial values and dropout it has."""
        return 0 if self.protocol and self.protocol.vary == "data" else self.seed

    @property
    def draw(self) -> int:
        """Which draw of the training data it has."""
        return 0 if not self.protocol or self.protocol.vary == "init" else self.seed

    @property
    def run_id(self) -> str:
        """Sixteen hexadecimal digits that name what was chosen.

        What was derived has no part in it: a run is found again before its values are.
        """
        asked = {"model": self.asked, "protocol": self.protocol and self.protocol.chosen}
        values = {**vars(self), **asked}
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a run may use before its parent stops it; 0 for no limit. Not part of a run's name."""

    timeout_s: float = 0.0
    """Seconds, without those in which data are fetched or drawn."""
    memory_bytes: int = 0
    """Bytes that its process may hold."""

    def __post_init__(self) -> None:
        """Refuse what is no limit.

        Raises:
            SpecError: One is.
        """
        for name, most in (("timeout_s", LONGEST_S), ("memory_bytes", MOST_BYTES)):
            if not 0 <= getattr(self, name) <= most:
                given = quoted(str(getattr(self, name)))
                raise SpecError(
                    f"{name} must be from 0, which is no limit, to {most:.2g}, not {given}."
                )


def parse_options(text: str) -> dict[str, Option]:
    """Read `a=1,b=exp,c=true`; commas in brackets, as of `m=mamba2[state=16,conv=2]`, part nothing.

    Raises:
        SpecError: An item has no `=`, or a name stands twice.
    """
    options: dict[str, Option] = {}
    for item in filter(None, (part.strip() for part in APART.split(text))):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not key or not value:
            raise SpecError(f"{quoted(item)} is not an option; write it as name=value.")
        if key in options:
            raise SpecError(f"The option {quoted(key)} stands twice; give it once.")
        options[key] = parse_value(value)
    return options


def parse_value(text: str) -> Option:
    """Read a truth value, an integer or a float, if `show` writes it as it was; else keep the text.

    So no text is lost on an option that takes text: it may be `1`, `true`, `nan` or `1e3`.
    """
    if text in {"true", "false"}:
        return text == "true"
    for kind in (int, float):
        value = _read(kind, text)
        if value is not None and show(value) == text:
            return value
    return text


def show(value: Option) -> str:
    """Write a value so that `parse_value` reads it back."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def converted(value: Option, wanted: type[Option]) -> Option | None:
    """Return a value as a field's type has it, so `1e3` is an integer; None if it is no such value.

    An integer may stand for a float, a float without a fraction for an integer, and what is typed
    for a text is that text, whatever else it might be read as.
    """
    if wanted is str:
        return show(value)
    if wanted is bool or isinstance(value, bool):
        return value if type(value) is wanted else None
    number = _read(float, str(value))
    if wanted is float or number is None:
        return number
    exact = _read(int, str(value))  # digits beyond a float's
    whole = exact if exact is not None else int(number) if number.is_integer() else None
    return whole if whole is not None and abs(whole) < LARGEST else None


def _read(kind: type[N], text: str) -> N | None:
    """Read a number; what is not finite is none, for JSON has no word for it."""
    try:
        value = kind(text)
    except ValueError:
        return None
    return value if -math.inf < value < math.inf else None


_hints = cache(get_type_hints)
"""The types of a recipe's fields: reading them takes longer than all else of it."""


def checked_options(recipe: type, options: Mapping[str, Option], owner: str) -> dict[str, Any]:
    """Check options against the fields of a dataclass, and read each as its field's type.

    Raises:
        SpecError: An option does not exist, or its value is not one that the field admits.
    """
    defaults: dict[str, Any] = {f.name: f.default for f in dataclasses.fields(recipe)}
    hints = _hints(recipe)
    checked: dict[str, Any] = {}
    for key, value in options.items():
        if key not in defaults:
            raise unknown(f"option of {owner}", key, list(defaults))
        wanted = type(defaults[key])
        checked[key] = converted(value, wanted)
        choices = get_args(hints[key]) if get_origin(hints[key]) is Literal else ()
        if choices and checked[key] not in choices:
            known = [show(choice) for choice in choices]
            raise unknown(f"value of {owner}'s option {key!r}", show(value), known)
        if checked[key] is None:
            raise SpecError(
                f"The option {key!r} of {owner} takes a value like {show(defaults[key])!r} "
                f"({wanted.__name__}), not {quoted(show(value))}."
            )
    return checked
