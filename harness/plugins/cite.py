"""What a model's authors ask to be cited: entries of the `.bib` files beside its module.

Everything is read from source text: no plugin, and so no torch, is imported.
"""

import re
from pathlib import Path

from harness.core.config import Selector
from harness.core.errors import SpecError, unknown
from harness.plugins.registry import Entry, registry
from harness.plugins.source import constant

HEAD = re.compile(r"^@\w+\{\s*([^,\s]+)\s*,", re.MULTILINE)


def cite(models: list[str], plugins: tuple[str, ...] = ()) -> str:
    """Return the BibTeX entries of some models, each entry once.

    Args:
        models: Names, with or without options.
        plugins: Files of plugins beside the installed ones.

    Raises:
        SpecError: Nobody has a name, a model names no paper, or an entry is missing.
    """
    found: dict[str, str] = {}
    for model in models:
        found |= cited(registry(plugins).find("model", Selector(model).name))
    return "\n\n".join(found.values())


def cited(entry: Entry) -> dict[str, str]:
    """Return the entries of one model by their keys, in the order of its `reference`."""
    named = str(constant(entry.path, "reference") or "")
    keys = [key.strip() for key in named.split(",") if key.strip()]
    if not keys:
        raise SpecError(f"The model {entry.name!r} follows no paper, so there is nothing to cite.")
    known = bibliography(entry.path.parent)
    for key in keys:
        if key not in known:
            raise unknown(f"entry in the .bib files beside {entry.name!r}", key, list(known))
    return {key: known[key] for key in keys}


def bibliography(folder: Path) -> dict[str, str]:
    """Return every entry of a folder's `.bib` files by its key."""
    texts = [path.read_text(encoding="utf-8-sig") for path in sorted(folder.glob("*.bib"))]
    return {match[1]: whole(text, match.start()) for text in texts for match in HEAD.finditer(text)}


def whole(text: str, start: int) -> str:
    """Return an entry from its `@` to the brace that closes it."""
    depth = 0
    for place in range(text.index("{", start), len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if not depth:
            return text[start : place + 1]
    raise SpecError(f"The entry that begins with {text[start : start + 40]!r} is never closed.")
