"""What a module says of itself in its source, read without importing it."""

import ast
import tokenize
from pathlib import Path

UNREADABLE = (OSError, SyntaxError, ValueError, RecursionError, MemoryError)
"""What reading and parsing source raises, whatever stands in it; the last two if it is nested."""


def read(path: Path) -> str:
    """Read source as Python would: by its mark or its coding line, else as UTF-8.

    Raises:
        OSError: The file cannot be read.
        SyntaxError: Its encoding is not what it says, or unknown.
        UnicodeDecodeError: It is not in its encoding.
    """
    with tokenize.open(path) as file:
        return file.read()


def parsed(path: Path) -> ast.Module:
    """Parse a file; nothing is in one that is not there or no Python."""
    try:
        return ast.parse(read(path))
    except UNREADABLE:
        return ast.Module(body=[], type_ignores=[])


def constant(path: Path, name: str) -> object:
    """Return the constant that a module, or a class in it, gives to a name; None if none does."""
    for node in ast.walk(parsed(path)):
        match node:
            case ast.AnnAssign(ast.Name(given), value=ast.Constant(value)) | ast.Assign(
                [ast.Name(given)], ast.Constant(value)
            ) if given == name:
                return value
    return None
