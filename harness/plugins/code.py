"""What code a plugin is: where it came from, its digest, and what it imports. No torch."""

import ast
import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

from harness.core.record import Source
from harness.plugins.registry import Entry
from harness.plugins.source import parsed

OURS = "ssm-bench"
"""The distribution whose plugins go by their versions: any commit may touch their files."""


def source_of(entry: Entry) -> Source:
    """Return what a record says of a plugin's code."""
    released = _released(entry.origin)
    if entry.origin == OURS or (entry.installed and released):
        return Source(origin=entry.origin, version=released)
    return Source(
        origin=entry.origin,
        version=released,
        digest=_digest(entry),
        packages={name: _released(name) for name in sorted(_imported(entry.path))},
    )


def _digest(entry: Entry) -> str:
    """Hash a file; of a module in a package all modules of that, since they share code."""
    depth = entry.module.count(".")
    root = entry.path.parents[depth - 1] if depth else entry.path.parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")) if depth else [entry.path]:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _imported(path: Path) -> set[str]:
    """Return the distributions of what a module imports, wherever in it."""
    modules: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            modules |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules.add(node.module.partition(".")[0])
    known = _distributions()
    return {name for module in modules for name in known.get(module, ())}


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())


@cache
def _released(name: str) -> str:
    """Return the version of a distribution; nothing for what is none."""
    try:
        return version(name)
    except (PackageNotFoundError, ValueError):
        return ""
