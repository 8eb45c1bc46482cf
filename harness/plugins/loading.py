"""Turns a plugin's name and options into its recipe: the only place that imports plugins."""

import dataclasses
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import Any

from harness.core.config import Option, Selector, checked_options, show
from harness.core.errors import SpecError
from harness.core.plugin_names import Kind
from harness.plugins.registry import Entry, registry


class BrokenPluginError(SpecError):
    """A plugin that cannot be used, through no fault of who asked for it."""


class Uncached(SourceFileLoader):
    """Compiles what stands in the file now.

    Compiled files count as fresh if an edit changes neither the size nor the second.
    """

    def path_stats(self, path: Any) -> Any:
        """Know nothing to compare a compiled file with, so none is read or written."""
        raise OSError(f"{path} is compiled anew")


def imported(entry: Entry) -> ModuleType:
    """Import a plugin's module.

    Raises:
        BrokenPluginError: The import fails; the message holds the error.
    """
    if entry.module in sys.modules:
        return sys.modules[entry.module]
    try:
        loader = Uncached(entry.module, str(entry.path))
        spec = importlib.util.spec_from_file_location(entry.module, entry.path, loader=loader)
        if "." in entry.module or spec is None or spec.loader is None:
            return importlib.import_module(entry.module)
        module = importlib.util.module_from_spec(spec)
        sys.modules[entry.module] = module
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        sys.modules.pop(entry.module, None)
        raise BrokenPluginError(
            f"The {entry.kind} {entry.name!r} from {entry.origin} cannot be imported: "
            f"{type(error).__name__}: {error}"
        ) from error
    return module


def recipe_class(entry: Entry) -> type[Any]:
    """Import a plugin and return its one recipe class.

    Raises:
        BrokenPluginError: The import fails, or there is not exactly one recipe that is a value.
    """
    if entry.installed:
        from harness.plugins.installed import recipe as installed  # noqa: PLC0415 - with torch

        return installed(entry)
    module = imported(entry)
    found = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and value.__module__ == module.__name__
        and getattr(value, "kind", None) == entry.kind
    ]
    recipes = [each for each in found if not inspect.isabstract(each)]
    recipe: type[Any] | None = recipes[0] if len(recipes) == 1 else None
    if wrong := _not_one(found, recipes) if recipe is None else _not_a_value(recipe):
        raise BrokenPluginError(f"The {entry.kind} {entry.name!r} from {entry.origin} {wrong}.")
    assert recipe is not None
    return recipe


def _not_one(found: list[type], recipes: list[type]) -> str:
    """Say in a clause that there is not one recipe, and what keeps others from being one."""
    names = ", ".join(recipe.__name__ for recipe in recipes) or "none"
    lacks = [
        f"; {each.__name__} lacks {', '.join(sorted(getattr(each, '__abstractmethods__', ())))}"
        for each in found
        if each not in recipes
    ]
    hint = "" if found else "; a file that others only share has a name that starts with '_'"
    return (
        "needs exactly one recipe class, a frozen dataclass that implements its whole contract; "
        f"found: {names}{''.join(lacks)}{hint}"
    )


def _not_a_value(recipe: type[Any]) -> str:
    """Say in a clause what keeps a recipe from being a value that people can type; empty if none.

    Runs are named by their recipes' values, so these must stay, and be equal where they say so.
    """
    parameters = vars(recipe).get("__dataclass_params__")
    if parameters is None or not parameters.frozen:
        return f"needs @dataclass(frozen=True, kw_only=True) above the class {recipe.__name__}"
    if type(recipe.version) is not int or not 0 < recipe.version < 1 << 31:
        return f"needs a whole number from 1 on as its version, not {recipe.version!r}"
    for each in dataclasses.fields(recipe):
        if not isinstance(each.default, Option):
            return (
                f"needs a default for the option {each.name!r}: a truth value, a number or text, "
                "as people may type it"
            )
    return ""


def build(kind: Kind, text: str, plugins: tuple[str, ...] = ()) -> Any:
    """Build a recipe from its selector.

    Raises:
        SpecError: The name, the version or an option is wrong.
    """
    selector = Selector(text)
    recipe = recipe_class(registry(plugins).find(kind, selector.name))
    if selector.version not in {None, recipe.version}:
        raise SpecError(
            f"{selector.name!r} has no version {selector.version} here, but {recipe.version}; "
            f"write {selector.name}@{recipe.version}, or leave the version out."
        )
    return recipe(**checked_options(recipe, selector.options, repr(selector.name)))


def load_model(text: str, *, plugins: Sequence[str] = ()) -> Any:
    """Build a model's recipe from text such as `s4d[state=64]`; `plugins` are further files."""
    return build("model", text, tuple(plugins))


def load_task(text: str, *, plugins: Sequence[str] = ()) -> Any:
    """Build a task's recipe from text such as `synthetic/shift[length=512]`; see `load_model`."""
    return build("task", text, tuple(plugins))


def options(recipe: Any) -> dict[str, Option]:
    """Return every option of a recipe with its value."""
    return {each.name: getattr(recipe, each.name) for each in dataclasses.fields(recipe)}


def chosen(recipe: Any) -> Selector:
    """Write a recipe with its version and the options that differ from their defaults.

    It is what a run is named by: the version stands for the defaults.
    """
    defaults: dict[str, Any] = {each.name: each.default for each in dataclasses.fields(recipe)}
    changed = {
        key: value for key, value in options(recipe).items() if show(value) != show(defaults[key])
    }
    return Selector.of(recipe.name, changed, recipe.version)
