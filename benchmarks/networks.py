"""Every registered model in one block of the backbone: the scaling tasks, and peak memory."""

from benchmarks.given import Timed, a_commit_that_has_it, models, work

LENGTH = 1024


class Networks(Timed):
    version = "2"
    params = (["forward", "train", "decode"], models())
    param_names = ("call", "model")

    def setup(self, call: str, model: str) -> None:
        self.call = work(f"scaling/{call}[length={LENGTH}]", model).call

    def time_network(self, call: str, model: str) -> None:
        self.call()


class PeakMemory:
    """Bytes above what is held before a training step, read from the kernel as the runner does.

    asv's own `peakmem_` counts the interpreter and torch, 200 MB in which a small model vanishes.
    """

    version = "1"
    params = (models(),)
    param_names = ("model",)
    unit = "bytes"
    timeout = 120

    def setup(self, model: str) -> None:
        with a_commit_that_has_it():
            from harness.measure.memory import peak  # noqa: PLC0415
        self.peak, self.call = peak, work(f"scaling/train[length={LENGTH}]", model).call
        self.call()

    def track_peak_bytes_of_a_training_step(self, model: str) -> int:
        return int(self.peak(self.call).delta_bytes)
