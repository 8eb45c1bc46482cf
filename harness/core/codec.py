"""Values as JSON and back: the one place that says how a selector stands in it, as its text."""

from typing import Any, TypeVar

import msgspec

from harness.core.config import Selector

T = TypeVar("T")


def encode(value: object) -> bytes:
    """Write a value as JSON."""
    return msgspec.json.encode(value, enc_hook=_text)


def builtins(value: object) -> Any:
    """Return a value as what JSON is made of: dictionaries, lists, texts and numbers."""
    return msgspec.to_builtins(value, enc_hook=_text)


def decode(text: bytes, kind: type[T]) -> T:
    """Read a value from JSON.

    Raises:
        msgspec.MsgspecError: The text is no JSON, or no value of the kind.
    """
    return msgspec.json.decode(text, type=kind, dec_hook=_selector)


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


def _text(value: object) -> str:
    if isinstance(value, Selector):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} has no form in JSON")


def _selector(_: type, value: object) -> Selector:
    if isinstance(value, str):
        return Selector(value)
    raise TypeError(f"a name with options is text, not {value!r}")
