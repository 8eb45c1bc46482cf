"""What the benchmarks share: names, networks, and leaving out what a commit does not have."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def a_commit_that_has_it() -> Iterator[None]:
    """Turn an import that an old commit cannot serve into asv's `n/a`."""
    try:
        yield
    except ImportError as error:
        raise NotImplementedError(str(error)) from error


def models() -> list[str]:
    """Return the names of the commit's models, importing none."""
    try:
        from harness.plugins.registry import registry  # noqa: PLC0415
    except ImportError:
        return []
    return list(registry().of("model"))


class Timed:
    """How asv repeats what takes milliseconds: three to ten single calls, or five seconds."""

    number = 1
    repeat = (3, 10, 5.0)
    rounds = 1
    warmup_time = 0.2
    timeout = 120


def work(task_text: str, model_text: str) -> Any:
    """Return the workload of a measured task with a model's network, built from a fixed stream.

    Raises:
        NotImplementedError: The commit lacks one of the two, or the model cannot do the task.
    """
    with a_commit_that_has_it():
        from harness.core.errors import UnknownNameError, UnsupportedError  # noqa: PLC0415
        from harness.core.seeding import scope, stream  # noqa: PLC0415
        from harness.nn.backbone import Backbone  # noqa: PLC0415
        from harness.plugins.loading import load_model, load_task  # noqa: PLC0415
    try:
        task, model = load_task(task_text), load_model(model_text)
    except UnknownNameError as error:
        raise NotImplementedError(str(error)) from error
    if reason := model.skip(task):
        raise NotImplementedError(reason)
    protocol = task.protocol
    with scope("benchmarks"):
        network = model.assemble(Backbone, task, protocol.width, protocol.depth, 0.0)
    try:
        return task.workload(network, protocol.batch, stream("benchmarks"))
    except UnsupportedError as error:
        raise NotImplementedError(str(error)) from error
