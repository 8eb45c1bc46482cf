"""Hands jobs to Ray, and fetches their progress and their results.

What is timed or weighed reserves a whole node, one of the largest, so nothing that asked Ray for a
core is beside it. A job whose node or worker is lost is begun anew on another: its result is
fetched once, so it has one record.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple, Self, final

from harness.core import codec
from harness.core.errors import SpecError
from harness.core.messages import Job, Progress, Result
from harness.measure.clock import now
from harness.runner.executors.ray import RayExecutor
from harness.runner.executors.ray_connection import connection, probe, sentence
from harness.runner.executors.ray_node import Mailbox, on_node
from harness.runner.executors.remote import packed

AGAIN = 3
"""How often a job is begun anew whose node was lost."""
ANEW = "A node was lost; its run is begun anew."
LOOK_S = 0.5
"""How often progress is fetched."""
END_S = 15.0
"""How long cancelled jobs may take to end before their workers are ended."""


class Needs(NamedTuple):
    """What a job reserves of a node."""

    cpus: int
    gpus: int
    memory_bytes: int


@dataclass(kw_only=True)
class Running:
    """A job in progress, or waiting for a node."""

    parcel: bytes
    learns: bool
    needs: Needs
    ref: Any
    """Of the result, in Ray."""
    lost: int = 0
    """How often its node was."""


@final
class RayPool:
    """Tasks in a cluster, and the connection to it."""

    def __init__(self, executor: RayExecutor) -> None:
        self.executor = executor
        self.running: dict[str, Running] = {}
        self.over: dict[str, Result | Exception] = {}
        self.looked = -LOOK_S
        self.left = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.ray = stack.enter_context(connection(self.executor.address))
            probe(self.ray)
            self._needs(learns=True)
            self.task = self.ray.remote(max_retries=0)(on_node)
            self.mailbox = self._here(Mailbox).remote()
            stack.callback(self._end)
            self.left = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.left.close()

    def _here(self, what: Any) -> Any:
        """Bind a task or an actor to the node that the driver is on; it reserves nothing."""
        node = self.ray.get_runtime_context().get_node_id()
        strategy = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        options = {"num_cpus": 0, "scheduling_strategy": strategy(node, soft=False)}
        return self.ray.remote(**options)(what)

    def _end(self) -> None:
        """Cancel what goes on, and wait until no child of it is left."""
        refs = [each.ref for each in self.running.values()]
        try:
            for ref in refs:
                self.ray.cancel(ref)
            if refs:
                _, refs = self.ray.wait(refs, num_returns=len(refs), timeout=END_S)
        finally:
            for ref in refs:
                self.ray.cancel(ref, force=True)  # a child ends with its worker
            self.ray.kill(self.mailbox)

    @property
    def nodes(self) -> list[Needs]:
        """What each node has that is alive; looked up now and then."""
        if now() - self.looked >= LOOK_S:
            self.looked = now()
            held = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
            names = ("CPU", "GPU", "memory")
            self._nodes = [Needs(*(int(each.get(name, 0)) for name in names)) for each in held]
        return self._nodes

    def _needs(self, *, learns: bool) -> Needs:
        """Return what a job reserves: a share of a node, or if it measures a whole one.

        Raises:
            SpecError: No node has that much.
        """
        asked = self.executor
        least = Needs(asked.cpus, asked.gpus, int(asked.memory * 2**30))
        fitting = [node for node in self.nodes if fits(least, node)]
        if not fitting:
            have = "; ".join(f"{node.cpus} cores and {node.gpus} GPUs" for node in self.nodes)
            raise SpecError(
                f"No node of the cluster has the {least.cpus} cores, {least.gpus} GPUs and "
                f"{asked.memory:g} GiB that a run shall reserve; they have: {have or 'nothing'}."
            )
        return least if learns else least._replace(cpus=max(node.cpus for node in fitting))

    def has_room(self, job: Job) -> bool:  # noqa: ARG002 - Ray finds it a place
        """Say whether the cluster is not full yet; one job waits, so an autoscaler sees that."""
        held = [each.needs for each in self.running.values()]
        free = [
            sum(have) - sum(taken)
            for have, taken in (
                ([node.cpus for node in self.nodes], [each.cpus for each in held]),
                ([node.gpus for node in self.nodes], [each.gpus for each in held]),
            )
        ]
        return not held or (free[0] >= 0 and (free[1] >= 0 or not self.executor.gpus))

    def submit(self, job: Job) -> None:
        """Hand a job to Ray.

        Raises:
            SpecError: No node could do it.
        """
        parcel, learns, run_id = packed(job), job.planned.learns, job.planned.spec.run_id
        needs = self._needs(learns=learns)
        ref = self._begin(run_id, parcel, needs)
        self.running[run_id] = Running(parcel=parcel, learns=learns, needs=needs, ref=ref)

    def _begin(self, run_id: str, parcel: bytes, needs: Needs) -> Any:
        task = self.task.options(
            num_cpus=needs.cpus, num_gpus=needs.gpus, memory=needs.memory_bytes
        )
        return task.remote(run_id, parcel, self.mailbox, needs.cpus)

    def events(self) -> Iterator[tuple[str, Progress | None]]:
        """Yield what jobs say, until none is in progress."""
        while self.running:
            names = {each.ref: run_id for run_id, each in self.running.items()}
            ready, _ = self.ray.wait(list(names), num_returns=1, timeout=LOOK_S)
            for run_id, said in self.ray.get(self.mailbox.empty.remote()):
                if said and run_id in self.running:
                    yield run_id, codec.decode(said, Progress)
            for ref in ready:
                yield names[ref], self._ended(names[ref])
            for run_id, running in list(self.running.items()):
                if not any(fits(running.needs, node) for node in self.nodes):
                    self.ray.cancel(running.ref)  # it would wait for ever
                    yield run_id, self._anew(run_id, running)

    def _ended(self, run_id: str) -> Progress | None:
        """Note what came of a job, unless it is begun anew: then say so."""
        running, lost = self.running[run_id], self.ray.exceptions
        try:
            result: Result | Exception = codec.decode(self.ray.get(running.ref), Result)
        except lost.TaskCancelledError:
            result = Result(outcome="killed", reason="It was cancelled.")
        except lost.OutOfMemoryError as error:
            result = Result(outcome="out-of-memory", reason=f"Ray ended it: {sentence(error)}")
        except lost.RayTaskError as error:
            result = error.cause if isinstance(error.cause, Exception) else error
        except lost.RayError as error:
            if running.lost < AGAIN:
                return self._anew(run_id, running)
            reason = f"Its node was lost {AGAIN + 1} times, at last so: {sentence(error)}"
            result = Result(outcome="killed", reason=reason)
        del self.running[run_id]
        self.over[run_id] = result
        return None

    def _anew(self, run_id: str, running: Running) -> Progress | None:
        """Begin a job again whose node was lost, or its worker; None if no node is left for it."""
        running.lost += 1
        self.looked = -LOOK_S
        try:
            running.needs = self._needs(learns=running.learns)
        except SpecError as error:
            del self.running[run_id]
            self.over[run_id] = error
            return None
        running.ref = self._begin(run_id, running.parcel, running.needs)
        return Progress(step=0, steps=0, notice=ANEW)

    def collect(self, run_id: str) -> Result:
        """Return the result of a job that has ended, with what its node is.

        Raises:
            Exception: Whatever kept the job from being done.
        """
        result = self.over.pop(run_id)
        if isinstance(result, Exception):
            raise result
        return result

    def cancel(self, run_id: str) -> None:
        """Have a job's child ended, wherever it is."""
        self.ray.cancel(self.running[run_id].ref)


def fits(needs: Needs, node: Needs) -> bool:
    """Say whether an empty node has what a job reserves."""
    return all(need <= have for need, have in zip(needs, node, strict=True))
