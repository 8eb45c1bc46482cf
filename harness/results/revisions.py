"""Records as a git revision has them: `main:results/records/v1` is a side of a comparison."""

import atexit
import io
import shutil
import subprocess
import tarfile
from pathlib import Path
from tempfile import mkdtemp

from harness.core.errors import SpecError


def is_revision(name: str) -> bool:
    """Say whether a name has git's form of a path at a revision, `REVISION:PATH`."""
    return ":" in name


def extracted(name: str) -> Path:
    """Return a folder with the files of `REVISION:PATH`, which goes when this process ends.

    Args:
        name: As git has it, such as `HEAD~1:results/records/v1`, the path from the top of the
            repository in which the present folder lies.

    Raises:
        SpecError: Git is missing, or has no such revision or path.
    """
    top = _git(name, "rev-parse", "--show-toplevel").decode().strip()
    packed = _git(name, "-C", top, "archive", "--format=tar", name)
    folder = Path(mkdtemp(prefix="ssm-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _git(name: str, *words: str) -> bytes:
    try:
        done = subprocess.run(  # nosec B607
            ["git", *words],  # noqa: S607 - whichever git the user has
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise SpecError(f"{name!r} needs git, which is not installed.") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise SpecError(f"{name!r} names no folder at a git revision: {said}.")
    return done.stdout
