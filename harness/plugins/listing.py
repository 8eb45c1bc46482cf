"""What there is to run: names, what each is, and where it came from. Imports no plugin."""

from textwrap import fill

import msgspec

from harness.core.plugin_names import Kind
from harness.plugins.registry import Entry, registry

SINGULAR: dict[str, Kind] = {"models": "model", "tasks": "task", "presets": "preset"}


def as_text(plugins: tuple[str, ...], kinds: tuple[str, ...], width: int) -> str:
    """Write plugins in columns, and the broken ones with their errors at the end.

    What each is goes on below, behind the names, where a line has not the width.
    """
    found = registry(plugins)
    lines = []
    for kind in kinds:
        entries = found.of(SINGULAR[kind]).values()
        wide = max((len(entry.name) for entry in entries), default=0)
        lines.append(kind)
        for e in entries:
            about = fill(
                f"{e.summary}  ({e.origin})", max(20, width - wide - 4), break_long_words=False
            )
            lines.append(f"  {e.name:<{wide}}  " + about.replace("\n", "\n" + " " * (wide + 4)))
    broken = [entry for entry in found.broken() if entry.kind in map(SINGULAR.get, kinds)]
    if broken:
        lines.append("broken")
        lines += [f"  {e.kind} {e.name}: {e.error}  ({e.origin})" for e in broken]
    return "\n".join(lines)


def as_json(plugins: tuple[str, ...], kinds: tuple[str, ...]) -> bytes:
    """Write the same as a JSON list."""
    wanted = {SINGULAR[kind] for kind in kinds}
    entries = [entry for entry in registry(plugins).entries if entry.kind in wanted]
    return msgspec.json.encode([facts(entry) for entry in entries])


def facts(entry: Entry) -> dict[str, str]:
    """Return what a script wants to know of a plugin."""
    return {
        "kind": entry.kind,
        "name": entry.name,
        "summary": entry.summary,
        "origin": entry.origin,
        "error": entry.error,
    }
