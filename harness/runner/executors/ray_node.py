"""What a worker of Ray does on a node: one job in a child process, whose progress it passes on."""

import importlib
from contextlib import suppress
from typing import Any

from harness.core import codec
from harness.core.messages import Progress
from harness.runner.executors.ray_connection import PACKAGE
from harness.runner.executors.remote import perform


class Mailbox:
    """An actor on the driver's node that keeps what jobs say until it is fetched."""

    def __init__(self) -> None:
        self.held: list[tuple[str, bytes]] = []

    def put(self, run_id: str, said: bytes) -> None:
        """Keep some progress."""
        self.held.append((run_id, said))

    def empty(self) -> list[tuple[str, bytes]]:
        """Hand over what came since the last time."""
        held, self.held = self.held, []
        return held


def on_node(run_id: str, parcel: bytes, mailbox: Any, threads: int) -> bytes:
    """Do a job: what a worker of Ray calls."""
    ray = importlib.import_module(PACKAGE)
    here = ray.get_runtime_context().get_node_id()
    [cores] = [node["Resources"]["CPU"] for node in ray.nodes() if node["NodeID"] == here]
    jobs = int(cores) // threads

    def tell(progress: Progress) -> None:
        mailbox.put.remote(run_id, codec.encode(progress))

    company = {"jobs": jobs} if jobs > 1 else {}
    result = perform(parcel, tell, threads=threads, conditions=company)
    with suppress(ray.exceptions.RayActorError):
        ray.get(mailbox.put.remote(run_id, b""))  # all that was told is there before the result
    return result
