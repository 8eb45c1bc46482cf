"""Finds plugins by their file's name, imports none until one is asked for.

Entry points of the groups `ssm_bench.models` and `ssm_bench.suites` name packages to walk or single
modules; `--plugin FILE` names a file. All come through the same door and are listed with where they
came from. A plugin that cannot be read or imported is reported and hides no other. A package within
a package may say what its files are, with a constant in its `__init__.py`: `PLUGINS = False` for
what plugins share, `PLUGINS = "preset"` for presets.
"""

import ast
import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import entry_points, packages_distributions
from pathlib import Path
from typing import cast

from harness.core.config import Selector
from harness.core.errors import SpecError, quoted, unknown
from harness.core.plugin_names import GROUPS, Kind, file_module, written
from harness.plugins.source import UNREADABLE, constant, parsed, read

BASES = {
    "Model": "model",
    "NetworkModel": "model",
    "GeneratedTask": "task",
    "CachedTask": "task",
    "PregeneratedTask": "task",
    "FileTask": "task",
    "MeasuredTask": "task",
}
"""How a file given by `--plugin` shows, unimported, what it holds: the base of its recipe."""


ALIASES = {"fla": "fla.layers", "hf": "transformers"}
"""Short names of packages whose classes are models: `fla:GatedDeltaNet`, `hf:mamba2`."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A plugin that was found, not yet imported."""

    name: str
    kind: Kind
    module: str
    path: Path
    origin: str
    """The distribution or the file that it came from."""
    error: str = ""
    """Why it cannot be used; empty if nothing speaks against it yet."""
    installed: bool = False
    """Whether it is no plugin, but a class of an installed package by its import path."""
    summary: str = field(default="", compare=False)


@dataclass(frozen=True)
class Registry:
    """All plugins of this process by kind and name, and the entries that are broken."""

    entries: tuple[Entry, ...]

    def of(self, kind: Kind) -> dict[str, Entry]:
        """Return the usable entries of a kind by name, in alphabetical order."""
        return self._usable.get(kind, {})

    @cached_property
    def _usable(self) -> dict[Kind, dict[str, Entry]]:
        found: dict[Kind, dict[str, Entry]] = {}
        for entry in sorted(self.entries, key=_by_name):
            if not entry.error:
                found.setdefault(entry.kind, {})[entry.name] = entry
        return found

    def broken(self) -> list[Entry]:
        """Return the entries that cannot be used, with their errors."""
        return [entry for entry in self.entries if entry.error]

    def find(self, kind: Kind, name: str) -> Entry:
        """Return one entry.

        Raises:
            SpecError: Nobody has the name, or the plugin that has it is broken.
        """
        known = self.of(kind)
        if name in known:
            return known[name]
        if kind == "model" and ":" in name:
            return _installed(name)
        for entry in self.broken():
            if (entry.kind, entry.name) == (kind, name):
                raise SpecError(f"The {kind} {name!r} from {entry.origin} is broken: {entry.error}")
        raise unknown(kind, name, list(known))

    def match(self, kind: Kind, text: str) -> list[Selector]:
        """Return what a pattern names: one plugin with options, or all of a folder.

        Raises:
            SpecError: Nothing matches.
        """
        if text.endswith("/*") or text in self.folders(kind):
            folder = text.removesuffix("/*").rstrip("/")
            names = [name for name in self.of(kind) if name.startswith(folder + "/")]
            if names:
                return [Selector(name) for name in names]
        selector = Selector(text)
        if (
            ":" not in selector.name
            and selector.name not in self.of(kind)
            and not any(e.name == selector.name for e in self.broken())
        ):
            raise unknown(kind, selector.name, [*self.of(kind), *self.folders(kind)])
        self.find(kind, selector.name)
        return [selector]

    def folders(self, kind: Kind) -> list[str]:
        """Return the suites, or the folders of models, that hold plugins."""
        return sorted({name.rpartition("/")[0] for name in self.of(kind) if "/" in name})


def _by_name(entry: Entry) -> str:
    return entry.name


@cache
def registry(plugins: tuple[str, ...] = ()) -> Registry:
    """Find every plugin: those of the entry points and the files given.

    Raises:
        SpecError: A given file does not exist.
    """
    if plugins:
        files = [_from_file(Path(plugin)) for plugin in plugins]
        return Registry(tuple(_without_twins([*registry(()).entries, *files])))
    found: list[Entry] = []
    for group, kind in GROUPS.items():
        for point in sorted(entry_points(group=group), key=lambda point: point.name):
            origin = point.dist.name if point.dist else point.value
            found += _from_entry_point(point.value, kind, origin)
    return Registry(tuple(_without_twins(found)))


def _from_entry_point(value: str, kind: Kind, origin: str) -> list[Entry]:
    """Return the entries of a package to walk or of a single module, importing neither."""
    spec = _located(value)
    if spec is None or (spec.origin is None and not spec.submodule_search_locations):
        name, reason = written(value.rpartition(".")[2]), f"no module named {value!r}"
        return [Entry(name=name, kind=kind, module=value, path=Path(), origin=origin, error=reason)]
    if spec.submodule_search_locations:
        package = Entry(name="", kind=kind, module=value, path=Path(), origin=origin)
        return [
            entry
            for folder in spec.submodule_search_locations
            for entry in _walk(Path(folder), package)
        ]
    path = Path(cast("str", spec.origin))
    return [_entry(written(path.stem), kind, value, path, origin)]


def _installed(name: str) -> Entry:
    """Return the entry of what an import path names, unimported.

    Raises:
        SpecError: Its package is not installed.
    """
    package, _, _ = name.partition(":")
    module = ALIASES.get(package, package)
    spec = _located(module)
    if spec is None or spec.origin is None:
        raise SpecError(
            f"{quoted(name)} is in no installed package: there is no module {quoted(module)}; "
            "install the package, or write module:Class as it is imported."
        )
    top = module.partition(".")[0]
    origin = next(iter(packages_distributions().get(top, ())), top)
    path = Path(spec.origin)
    return Entry(name=name, kind="model", module=module, path=path, origin=origin, installed=True)


def _located(module: str) -> ModuleSpec | None:
    """Find a module without importing the packages that it is in, as `find_spec` would."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
        for part in rest:
            folders = spec and spec.submodule_search_locations
            spec = PathFinder.find_spec(part, folders) if folders else None
    except (ImportError, ValueError, OSError):
        return None
    return spec


def _walk(folder: Path, package: Entry) -> Iterator[Entry]:
    """Yield every module below a package's folder, except helpers and their folders."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(("_", ".")):
            continue
        name, module = package.name + written(path.stem), f"{package.module}.{path.stem}"
        if path.suffix == ".py":
            yield _entry(name, package.kind, module, path, package.origin)
        elif path.is_dir():
            within = replace(package, name=f"{name}/", module=module)
            held = constant(path / "__init__.py", "PLUGINS")
            if held == "preset":
                within = replace(within, name="", kind="preset")
            if held is not False:
                yield from _walk(path, within)


def _from_file(path: Path) -> Entry:
    if not path.is_file():
        raise SpecError(
            f"There is no plugin file {quoted(str(path))}; --plugin takes a Python file."
        )
    tree_bases = {
        getattr(base, "id", getattr(base, "attr", ""))
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef)
        for base in node.bases
    }
    kinds = {BASES[base] for base in tree_bases & BASES.keys()}
    module = file_module(path)
    kind: Kind = "task" if kinds == {"task"} else "model"
    entry = _entry(written(path.stem), kind, module, path.resolve(), str(path))
    if kinds or entry.error:
        return entry
    wanted = ", ".join(BASES)
    return replace(entry, error=f"it has no class that derives from one of {wanted}")


def _entry(name: str, kind: Kind, module: str, path: Path, origin: str) -> Entry:
    entry = Entry(name=name, kind=kind, module=module, path=path, origin=origin)
    try:
        text = ast.get_docstring(ast.parse(read(path))) or ""
    except UNREADABLE as error:
        why = str(error) or "it is nested too deeply"
        return replace(entry, error=f"{type(error).__name__}: {why}")
    return replace(entry, summary=text.partition("\n")[0])


def _without_twins(entries: list[Entry]) -> Iterator[Entry]:
    """Keep the first of two plugins with one name, and report the other."""
    first: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        other = first.setdefault((entry.kind, entry.name), entry)
        if other is entry:
            yield entry
        else:
            yield replace(entry, error=f"the name {entry.name!r} is taken by {other.origin}")
