"""Every registered model in one block of the backbone: the scaling tasks, and peak memory."""

from typing import Any

from benchmarks.benchmark import Benchmark, Case, UnavailableError, find

LENGTH = 1024


def models() -> list[str]:
    """Return the names of the commit's models, importing none."""
    try:
        return list(find("harness", "registry").registry().of("model"))
    except ImportError:
        return []


def scaling(call: str, name: str) -> Any:
    """Return the workload of a scaling task with a model's network, built from a fixed stream.

    Raises:
        UnavailableError: The commit lacks one of the two, or the model cannot do the task.
    """
    loading, seeding = find("harness", "loading"), find("harness", "seeding")
    errors, backbone = find("harness", "errors", "spec"), find("harness", "backbone").Backbone
    try:
        task = loading.load_task(f"scaling/{call}[length={LENGTH}]")
        model = loading.load_model(name)
        if reason := model.skip(task):
            raise UnavailableError(reason)
        protocol = task.protocol
        with seeding.scope("benchmarks"):
            network = model.assemble(backbone, task, protocol.width, protocol.depth, 0.0)
        return task.workload(network, protocol.batch, seeding.stream("benchmarks"))
    except (errors.UnknownNameError, errors.UnsupportedError) as error:
        raise UnavailableError(str(error)) from error


class Networks(Benchmark):
    """A block around each model; what is timed is a scaling task's."""

    version = "3"
    params = (["forward", "train", "decode"], models())
    compared = "model"

    def build(self, call: str, model: str) -> Case:
        return Case(scaling(call, model).call, check=finite)

    time_network = Benchmark.forward


def finite(predictions: Any) -> None:
    """Assert that all numbers are finite."""
    assert predictions.isfinite().all()


class PeakMemory(Benchmark):
    """Bytes above what is held before a training step, read from the kernel as the runner does.

    asv's own `peakmem_` counts the interpreter and torch, 200 MB in which a small model vanishes.
    """

    timed = False
    params = (models(),)
    unit = "bytes"

    def build(self, model: str) -> Case:
        peak, call = find("harness", "memory").peak, scaling("train", model).call
        call()
        return Case(lambda: int(peak(call).delta_bytes))

    track_peak_bytes_of_a_training_step = Benchmark.forward
