"""Values as JSON and back: how a selector stands in it, and what cannot stand in it."""

import json
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from harness.core.config import Selector
from harness.core.errors import SpecError, brief

T = TypeVar("T")


def encode(value: object) -> bytes:
    """Write a value as JSON."""
    return msgspec.json.encode(value, enc_hook=_text)


def builtins(value: object) -> Any:
    """Return a value as what JSON is made of: dictionaries, lists, texts and numbers."""
    return msgspec.to_builtins(value, enc_hook=_text)


def decode(text: bytes, kind: Any) -> Any:
    """Read a value from JSON.

    Args:
        text: Bytes of whatever origin.
        kind: The type of the value, or a union of some.

    Raises:
        ValueError: The text is no JSON, or no value of the kind.
    """
    try:
        return msgspec.json.decode(text, type=kind, dec_hook=_selector)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except msgspec.MsgspecError as error:
        raise type(error)(brief(error)) from None


def decoder(kind: type[T]) -> "msgspec.json.Decoder[T]":
    """Return what reads many values of a kind, each as `decode` would."""
    return msgspec.json.Decoder(kind, dec_hook=_selector)


def convert(value: object, kind: type[T], *, strict: bool = True) -> T:
    """Read a value from what JSON is made of.

    Args:
        value: Dictionaries, lists, texts and numbers.
        kind: What it is to become.
        strict: Whether a number must be one; else it may be text, as in a table.

    Raises:
        msgspec.MsgspecError: It is no value of the kind.
    """
    return msgspec.convert(value, kind, strict=strict, dec_hook=_selector)


def checked(value: T) -> T:
    """Return a value as whoever reads it later will have it.

    Raises:
        SpecError: A number in it is not finite, for which JSON has no word, or a field holds what
            its type does not admit; the sentence names the field.
    """
    try:
        plain = builtins(value)
        for name in not_finite(plain):
            raise SpecError(f"{name} is not finite")
        return convert(plain, type(value))
    except msgspec.MsgspecError as error:
        what, _, place = brief(error).partition(" - at ")
        raise SpecError(f"{place.strip('`').removeprefix('$.') or 'it'}: {what}") from None
    except (NotImplementedError, TypeError, RecursionError) as error:
        raise SpecError(f"it has a field that is no value: {error}") from None


def not_finite(value: Any, name: str = "") -> Iterator[str]:
    """Yield the names of the numbers in what JSON is made of that are not finite."""
    try:
        json.dumps(value, allow_nan=False)  # thrice as fast, and nearly always all that is asked
    except ValueError:
        yield from _not_finite(value, name)


def _not_finite(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):
        yield name
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _not_finite(inner, f"{name}.{key}".removeprefix("."))
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            yield from _not_finite(inner, f"{name}[{place}]")


def _text(value: object) -> str:
    if isinstance(value, Selector):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} has no form in JSON")


def _selector(_: type, value: object) -> Selector:
    if isinstance(value, str):
        return _parsed(value)
    raise TypeError(f"a name with options is text, not {value!r}")


@lru_cache(maxsize=1 << 14)
def _parsed(text: str) -> Selector:
    """Read a name once; it stands in many records."""
    return Selector(text)
