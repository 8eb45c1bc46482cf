"""Writes a new plugin: a package of one module that works, passes its checks and can be installed.

No torch. The files come from `templates/<kind>`; a template's name is the file's name and `.tmpl`.
What a whole network has otherwise than a mixer's model stands in `templates/network`.
"""

import keyword
import re
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Literal

from harness.core.errors import SpecError
from harness.plugins.registry import registry

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def create(
    kind: Literal["model", "task"], name: str, folder: Path, *, network: bool = False
) -> Path:
    """Write the package `folder / name`.

    Args:
        kind: What the plugin shall be.
        name: Its name: lower-case letters and digits, parts joined by dashes.
        folder: Where the package's folder is made.
        network: Whether a model builds its whole network instead of a mixer.

    Returns:
        The package's folder.

    Raises:
        SpecError: The name is bad or taken, or the folder exists.
    """
    module = name.replace("-", "_")
    package = folder / name
    if NAME.fullmatch(name) and package.exists():
        raise SpecError(f"{str(package)!r} exists already; choose another name or remove it.")
    _check_name(kind, name, module)
    package.mkdir(parents=True)
    words = {"name": name, "module": module, "class_name": _class_name(name)}
    templates = files("harness.plugins") / "templates"
    found = {template.name: template for template in (templates / kind).iterdir()}
    if network:
        found |= {template.name: template for template in (templates / "network").iterdir()}
    for template in found.values():
        target = template.name.removesuffix(".tmpl").replace("module", module)
        text = Template(template.read_text(encoding="utf-8")).substitute(words)
        (package / target).write_text(text, encoding="utf-8")
    return package


def _class_name(name: str) -> str:
    return name.title().replace("-", "") + "Recipe"


def _check_name(kind: Literal["model", "task"], name: str, module: str) -> None:
    if not NAME.fullmatch(name):
        raise SpecError(
            f"{name!r} is no name for a plugin; use lower-case letters and digits, starting with a "
            f"letter, parts joined by dashes, such as 'my-model'."
        )
    if name in registry().of(kind):
        origin = registry().of(kind)[name].origin
        raise SpecError(f"The {kind} {name!r} exists already, from {origin}; choose another name.")
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or find_spec(module):
        raise SpecError(
            f"A plugin {name!r} would hide the Python module {module!r}; choose another name."
        )
