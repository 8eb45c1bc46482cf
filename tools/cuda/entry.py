"""Lets a checkout that nobody installed find its plugins: a machine with a GPU may have no index.

Plugins are found by the entry points of installed distributions, which are a file in a folder.
"""

import os
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

ROOT = Path(__file__).parents[2]


def reachable(folder: Path) -> None:
    """Put the checkout on the path of this process and its children; write what names its plugins.

    Args:
        folder: Where to write that, if it is not installed.
    """
    paths = [str(ROOT)]
    if not entry_points(group="ssm_bench.models"):
        write_entry_points(folder / "ssm_bench-0.dist-info")
        paths.append(str(folder))
    sys.path[:0] = paths
    os.environ["PYTHONPATH"] = os.pathsep.join([*paths, *filter(None, [os.getenv("PYTHONPATH")])])


def write_entry_points(folder: Path) -> None:
    """Write what an installation would say of the project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [
        "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in points.items())])
        for group, points in project["entry-points"].items()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0\n"
    )
    (folder / "entry_points.txt").write_text("\n\n".join(groups) + "\n")
