"""Says who does a run, so that sweeps over one folder share it: each run is done once.

A sweep that does runs has a file in `.leases`, which it keeps locked and whose time it renews; a
file with a run's name there names the sweep that does it. A lease is nobody's any more once its
sweep's file is gone, is no longer locked although the sweep was on this machine, or was not renewed
for `STALE_S`. Machines share the folder, not a clock: times are those that its file system sets.
"""

import fcntl
import os
import platform
import re
import threading
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self, final

BEAT_S = 15.0
"""How often a sweep renews its file."""
STALE_S = 180.0
"""After how long without that it counts as dead. Another machine may see a file's time a minute
late, which is how long NFS remembers it."""
SWEEP = re.compile(r"[0-9a-f]{32}\.sweep")
"""What the file of a sweep is called."""


class NoLeaseWarning(UserWarning):
    """A folder takes no leases, so another sweep over it does the same runs again."""


@final
class Leases:
    """The leases in a results folder, as one sweep has, takes and gives them.

    Args:
        results: The folder. Nothing is written to it before a lease is asked for.
    """

    def __init__(self, results: Path | str) -> None:
        self.folder = Path(results) / ".leases"
        self.sweep = self.folder / f"{uuid.uuid4().hex}.sweep"
        self.held: set[str] = set()
        self.works = True
        self._file: int | None = None
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        for run_id in list(self.held):
            self.release(run_id)
        if self._file is not None:
            self.sweep.unlink(missing_ok=True)
            os.close(self._file)

    def take(self, run_id: str) -> bool:
        """Take the lease of a run; False if another sweep does it.

        Where the folder takes no leases every run may be done, and a warning says so once.
        """
        if not self.works:
            return True
        try:
            with self._alone():
                self._open()
                if self._owner(run_id):
                    return False
                self.held.add(run_id)
                (self.folder / run_id).write_text(self.sweep.name, "utf-8")
        except OSError as error:
            self.works = False
            warnings.warn(
                f"{str(self.folder)!r} takes no leases ({error.strerror}): another sweep over the "
                "same folder would do the same runs again.",
                NoLeaseWarning,
                stacklevel=2,
            )
        return True

    def release(self, run_id: str) -> None:
        """Give a lease back, unless another sweep has taken it over."""
        self.held.discard(run_id)
        with suppress(OSError), self._alone():
            if self._named(run_id) == self.sweep.name:
                (self.folder / run_id).unlink()

    def holds(self, run_id: str) -> bool:
        """Say whether a lease that was taken is still ours; it is, unless we were held for dead."""
        return not self.works or self._named(run_id) == self.sweep.name

    def owner(self, run_id: str) -> str:
        """Say who else does a run, such as `process 12 on host`; empty if nobody does."""
        try:
            with self._alone():
                return self._owner(run_id)
        except OSError:
            return ""

    def _owner(self, run_id: str) -> str:
        name = self._named(run_id)
        if not name or name == self.sweep.name:
            return ""
        return self._living(self.folder / name)

    def _named(self, run_id: str) -> str:
        """Return the name of the file of the sweep that has a lease; empty if none has."""
        try:
            name = (self.folder / run_id).read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""
        return name if SWEEP.fullmatch(name) else ""

    def _living(self, sweep: Path) -> str:
        """Say which process a sweep's file is of; empty, and the file is removed, if it is dead."""
        try:
            with sweep.open("rb+") as file:
                pid, _, host = file.read().decode("utf-8", "replace").partition(" ")
                late = self._now() - os.fstat(file.fileno()).st_mtime > STALE_S
                if not late and not (host == platform.node() and unlocked(file.fileno())):
                    return f"process {pid} on {host}"
            sweep.unlink(missing_ok=True)
        except FileNotFoundError:
            pass
        return ""

    def _now(self) -> float:
        """Return the time that the file system gives to what is written now."""
        clock = self.folder / "lock"
        os.utime(clock)
        return clock.stat().st_mtime

    def _open(self) -> None:
        """Make the sweep's own file, and begin to renew it."""
        if self._file is not None:
            return
        self._file = os.open(self.sweep, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        os.write(self._file, f"{os.getpid()} {platform.node()}".encode())
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            with suppress(OSError):  # another sweep held it for dead
                os.utime(self.sweep)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other sweeps from looking at leases or changing them meanwhile."""
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / ".gitignore").write_text("*\n", "utf-8")
        with (self.folder / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def unlocked(file: int) -> bool:
    """Say whether nobody has a file locked; the kernel unlocks those of a process that ends."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
