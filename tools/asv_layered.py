"""An asv environment that lays one commit of this project over the packages installed here.

asv's own environments install torch anew for each of theirs: a gigabyte and minutes. Its `existing`
environment installs nothing, but then saves nothing and knows no commits. This one is an empty
virtual environment whose path ends with the site-packages of the interpreter that runs asv: the
commit's own code comes first, everything else is what is installed already. A second takes it all.

An editable install of the project beside asv does not leak in, since Python follows no `.pth` file
of a folder that was itself named in one. The limit: a commit that asks for another torch is still
measured on the torch installed here, whose version is therefore part of the environment's name.
"""

import site
import sys
import venv
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from asv.environment import Environment


class Layered(Environment):  # type: ignore[misc] # asv has no annotations
    """What `"environment_type": "layered"` in `asv.conf.json` asks for."""

    tool_name = "layered"

    def __init__(
        self,
        conf: Any,
        python: str,
        requirements: Mapping[str, str],  # noqa: ARG002 - asv's signature; nothing is installed
        tagged_env_vars: Mapping[tuple[str, str], str],
    ) -> None:
        """Name the environment after the Python and the torch it stands on."""
        self._python = python
        self._requirements: dict[str, str] = {"torch": version("torch")}
        super().__init__(conf, python, self._requirements, tagged_env_vars)

    @classmethod
    def matches(cls, python: str) -> bool:
        """Return whether a Python version, such as `3.11`, is the one running asv."""
        return python == f"{sys.version_info.major}.{sys.version_info.minor}"

    def _setup(self) -> None:
        """Make an empty environment that sees the packages installed here."""
        venv.create(self._path, with_pip=False, symlinks=True)
        packages = next(Path(self._path).glob("lib/python*/site-packages"))
        (packages / "_host.pth").write_text(
            "\n".join(site.getsitepackages()) + "\n", encoding="utf-8"
        )

    def run(self, args: list[str], **options: Any) -> Any:
        """Run this environment's Python; asv's `Environment` leaves that to its kinds."""
        return self.run_executable("python", args, **options)
