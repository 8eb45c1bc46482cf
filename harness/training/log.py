"""What a training tells of itself meanwhile: to TensorBoard or MLflow, by Fabric's loggers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from harness.core.config import Protocol, RunSpec
from harness.core.errors import SpecError
from harness.results.store import Store

if TYPE_CHECKING:
    from lightning_fabric.loggers.logger import Logger

FLUSH_S = 10
"""The most seconds of a training that a kill may take from what it told."""


@dataclass
class Log:
    """Where it is told; nowhere by default. All is told between the timed steps."""

    examples: int = 0
    """Examples of a step, of which the throughput is made."""
    loggers: "list[Logger]" = field(default_factory=list)

    @classmethod
    def of(cls, spec: RunSpec, store: Store, name: str) -> "Log":
        """Return what a run asks for by `--log`.

        Raises:
            SpecError: What it takes is not there.
        """
        protocol = spec.protocol or Protocol()
        if not name:
            return cls()
        logger = tensorboard(store.log(spec)) if name == "tensorboard" else mlflow(name, spec)
        return cls(protocol.batch * protocol.devices, [logger])

    def step(self, step: int, loss: float, rates: Sequence[float], seconds: float) -> None:
        """Tell of a step: of every one below 1,000, then of every tenth, hundredth and so on."""
        if step % 10 ** max(0, len(str(step)) - 3):
            return
        of_groups = {f"learning_rate/group_{n}": rate for n, rate in enumerate(rates)}
        told = {"loss": loss, "examples_per_second": self.examples / seconds, **of_groups}
        for logger in self.loggers:
            logger.log_metrics(told, step)

    def validation(self, metric: str, scores: Sequence[tuple[int, float]]) -> None:
        """Tell of the last of some (step, score) on validation."""
        for logger in self.loggers:
            for step, score in scores[-1:]:
                logger.log_metrics({f"validation/{metric}": score}, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Let all be told and on the disk."""
        for logger in self.loggers:
            logger.finalize("success" if kind is None else "failed")


def tensorboard(folder: Path) -> "Logger":
    """Write event files in a folder, where those of an ended training may lie already.

    Raises:
        SpecError: Nothing is installed that writes them.
    """
    from lightning_fabric.loggers.tensorboard import TensorBoardLogger  # noqa: PLC0415 - behind Fabric

    try:
        return TensorBoardLogger(folder, name=None, version="", flush_secs=FLUSH_S)
    except ModuleNotFoundError as error:
        raise SpecError(
            "A log for TensorBoard needs tensorboardX, which is not installed; "
            "`pip install 'ssm-bench[tensorboard]'`."
        ) from error


def mlflow(name: str, spec: RunSpec) -> "Logger":
    """Begin a run on the server that `mlflow=ADDRESS` names."""
    from harness.training.mlflow import MlflowLogger  # noqa: PLC0415 - behind Fabric

    title = f"{spec.model.label} on {spec.task.label}, seed {spec.seed}"
    return MlflowLogger(name.partition("=")[2], title, spec.run_id)
