"""Whether a file is the one that it should be: its size and its sum."""

import hashlib
from pathlib import Path


def mismatch(path: Path, size: int | None, checksum: str | None) -> str | None:
    """Say in a clause how a file differs from what it should be; None if it does not."""
    if size is not None and (found := path.stat().st_size) != size:
        return f"has {found:,} bytes, not {size:,}"
    if checksum is None:
        return None
    method, _, wanted = checksum.partition(":")
    try:
        digest = checksum_of(path, method)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None if digest == wanted.lower() else f"has the {method} {digest}, not {wanted}"


def checksum_of(path: Path, method: str) -> str:
    """Return the hexadecimal sum of a file's bytes, by `sha256` or `md5`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, method).hexdigest()
