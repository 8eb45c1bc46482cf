"""What a plugin is called: its module's name, as its entry point's package or its file has it."""

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal
from zlib import crc32

Kind = Literal["model", "task", "preset"]
GROUPS: Mapping[str, Kind] = {"ssm_bench.models": "model", "ssm_bench.suites": "task"}
FILE = re.compile(r"ssm_bench_plugin_(?P<stem>.+)_[0-9a-f]{8}")


def file_module(path: Path) -> str:
    """Return the module that a file given by `--plugin` becomes; two of one name are two."""
    return f"ssm_bench_plugin_{written(path.stem)}_{crc32(bytes(path.resolve())):08x}"


def plugin_name(module: str, kind: Kind) -> str:
    """Return the name of the plugin in a module, such as `synthetic/shift`.

    It is known when a class is made, so nothing that loads the class later need rename it: below
    the package that an entry point names, the path to the module; else the module's last part.
    """
    if file := FILE.fullmatch(module):
        return written(file["stem"])
    within = [root for root in _roots(kind) if module.startswith(f"{root}.")]
    rest = module.removeprefix(f"{max(within, key=len)}.") if within else module.rpartition(".")[2]
    return "/".join(map(written, rest.split(".")))


def written(stem: str) -> str:
    """Return a module's name as people type it: small letters, digits and dashes."""
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9-]", "-", plain).lstrip("-") or "unnamed"


@cache
def _roots(kind: Kind) -> list[str]:
    groups = [group for group, held in GROUPS.items() if held == kind]
    return [point.value for group in groups for point in entry_points(group=group)]
