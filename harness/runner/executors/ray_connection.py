"""Connects to a Ray cluster, or starts a small one on this machine, without a word of Ray's own."""

import importlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from harness.core.errors import SpecError
from harness.measure import machine
from harness.runner.executors.remote import OURS, refuse_other

PACKAGE = "ray"
LOCAL, AUTO = "local", "auto"
CONNECT_S = 5.0
"""How long a cluster may take to answer."""
STORE_BYTES = 200 << 20
"""Of a local cluster's memory for what travels: results are small."""
QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""What keeps a local cluster on 127.0.0.1; Ray reads it once, and does so itself on macOS."""


@contextmanager
def connection(address: str) -> Iterator[Any]:
    """Connect to a cluster, or start one for as long as this lasts; yield the module `ray`.

    Where this process is connected already, as in a notebook, that connection is used and left.

    Raises:
        SpecError: There is no cluster, or none that this Ray and this Python could work with.
    """
    os.environ.update({**QUIET, **(LOOPBACK if address == LOCAL else {}), **os.environ})
    ray = importlib.import_module(PACKAGE)
    if ray.is_initialized():
        yield ray
        return
    with ExitStack() as stack:
        options: dict[str, Any] = {}
        if address == LOCAL:
            # Ray's sockets lie there, whose paths must be short.
            folder = TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True)
            options = {
                "num_cpus": machine.cores(),
                "object_store_memory": STORE_BYTES,
                "include_dashboard": False,
                "_temp_dir": stack.enter_context(folder),
            }
        else:
            address = found(address)
            refuse_deaf(address)
        stack.callback(ray.shutdown)
        try:
            # A thread of Ray's prints to standard output what befalls nodes, whatever it is told.
            vars(importlib.import_module("ray._private.worker"))["_worker_logs_enabled"] = False
            with own_signals():
                ray.init(address, log_to_driver=False, logging_level="ERROR", **options)
        except Exception as error:
            what = "started here" if address == LOCAL else f"joined at {address!r}"
            raise SpecError(f"No Ray cluster can be {what}: {sentence(error)}") from error
        yield ray


def probe(ray: Any) -> None:
    """Let some worker of a cluster see whether it could do a job.

    Raises:
        SpecError: It could not.
    """
    try:
        ray.get(ray.remote(num_cpus=0)(refuse_other).remote(machine.installed(OURS)))
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", error)
        if isinstance(cause, SpecError):
            raise cause from None
        raise SpecError(
            f"The nodes of the cluster cannot do our runs ({sentence(error)}); install "
            f"{OURS} {machine.installed(OURS)} on each, in the Python that Ray runs there."
        ) from error


def found(address: str) -> str:
    """Return where a cluster is; Ray remembers the one that this machine is in.

    Raises:
        SpecError: This machine is in none.
    """
    if address != AUTO:
        return address
    services = importlib.import_module("ray._private.services")
    try:
        where: str = services.canonicalize_bootstrap_address(AUTO)
    except (ConnectionError, ValueError) as error:
        raise SpecError(
            "This machine is in no Ray cluster; join one with 'ray start --address=HOST:PORT', "
            "or leave the address out to start one here."
        ) from error
    return where


def refuse_deaf(address: str) -> None:
    """Check that somebody listens at an address, which Ray would try for a minute.

    Raises:
        SpecError: Nobody does.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except (OSError, ValueError) as error:
        raise SpecError(
            f"No Ray cluster answers at {address!r} ({error}); start one there with "
            "'ray start --head', or leave the address out to start one here."
        ) from error


@contextmanager
def own_signals() -> Iterator[None]:
    """Keep what a SIGTERM does in this process, which Ray would change."""
    held = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, held)


def sentence(error: Exception) -> str:
    """Return what an error of Ray's says first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
