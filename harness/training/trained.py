"""Networks that were kept: written once they are trained, built again from their run's record."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.contract.network import Network
from harness.contract.task import LearningTask, Split
from harness.core.config import Protocol
from harness.core.errors import SpecError, quoted
from harness.core.messages import Planned
from harness.core.plugin_names import Kind
from harness.core.record import Record, digests
from harness.core.seeding import scope
from harness.nn.backbone import Backbone
from harness.plugins.code import source_of
from harness.plugins.loading import build
from harness.plugins.registry import registry
from harness.results.store import Store
from harness.training.checkpoint import aside, settle

RESULTS = "results/local"
PREDICTED: tuple[Split, ...] = ("validation", "test")


@dataclass(frozen=True)
class Weights:
    """The file of a run's parameters, with the digests of the code that they belong to."""

    path: Path
    digests: Mapping[str, str]

    @classmethod
    def of(cls, run: Planned | Record, store: Store) -> "Weights":
        """Return that of a run."""
        return cls(store.weights(run.spec.run_id), digests(run.sources))

    def write(self, network: Network) -> None:
        """Keep a network's parameters and buffers, as safetensors."""
        from safetensors.torch import save_model  # noqa: PLC0415 - only where weights are kept

        with aside(self.path.parent) as part:
            save_model(network, str(part), dict(self.digests))
            settle(part, self.path)

    def read(self, network: Network) -> None:
        """Put what was kept into a network that is built alike.

        Raises:
            SpecError: There is none, it is damaged, or it belongs to other code or another network.
        """
        from safetensors import SafetensorError, safe_open  # noqa: PLC0415 - as above
        from safetensors.torch import load_model  # noqa: PLC0415

        path = str(self.path)
        try:
            with safe_open(path, "pt") as file:
                said = file.metadata() or {}  # of tensors that are shared, too
            if {kind: said.get(kind) for kind in self.digests} != self.digests:
                raise SpecError(
                    f"{path!r} belongs to other code than its run's record; run it again."
                )
            load_model(network, path)
        except FileNotFoundError:
            raise SpecError(
                f"No weights were kept in {path!r}; run it again with --keep-weights --again."
            ) from None
        except (SafetensorError, RuntimeError, OSError) as error:
            what = quoted(" ".join(str(error).split()))
            raise SpecError(
                f"{path!r} holds no weights of its run: {what}; run it again."
            ) from error


@dataclass(frozen=True)
class Trained:
    """What a stored run trained."""

    record: Record
    task: LearningTask
    network: Network


def load_trained(
    run_id: str, results: Path | str = RESULTS, *, plugins: Sequence[str] = ()
) -> Network:
    """Return the network of a run that was made with `--keep-weights`, as it scored best.

    Args:
        run_id: The run's name, sixteen hexadecimal digits.
        results: The folder of records.
        plugins: Files that hold its model or its task, if files do.

    Returns:
        The network on the CPU, in eval mode.

    Raises:
        SpecError: There is no such run, its weights were not kept, or its code is another now.
    """
    return trained(run_id, results, plugins).network


def trained(run_id: str, results: Path | str = RESULTS, plugins: Sequence[str] = ()) -> Trained:
    """Return a run's record, its task and its network; see `load_trained`."""
    store, files = Store(results), tuple(plugins)
    record = store.get(run_id)
    if record is None or record.learned is None:
        raise SpecError(
            f"{str(results)!r} has no training {quoted(run_id)}; its files name those that it has."
        )
    refuse_other_code(record, files)
    spec, protocol = record.spec, record.spec.protocol or Protocol()
    task, recipe = build("task", spec.task, files), build("model", spec.model, files)
    with scope(spec.init, "init"):
        network: Network = recipe.assemble(
            Backbone, task, protocol.width, protocol.depth, protocol.dropout
        )
    if protocol.precision == "64-true":
        network.double()
    Weights.of(record, store).read(network)
    return Trained(record, task, network.eval())


def refuse_other_code(record: Record, plugins: tuple[str, ...]) -> None:
    """Check that a run's plugins are what they were.

    Raises:
        SpecError: One is not; one of ours has another version, which `build` tells.
    """
    known = registry(plugins)
    names: dict[Kind, str] = {"task": record.spec.task.name, "model": record.spec.model.name}
    for kind, name in names.items():
        if source_of(known.find(kind, name)).digest != record.digests[kind]:
            raise SpecError(
                f"The code of the {kind} {name!r} has changed since {record.run_id} was "
                "trained, so its network cannot be built; bring it back, or run it again."
            )


def predictions(made: Trained, task: LearningTask) -> dict[str, list[Any]]:
    """Let a network answer every example of validation and test.

    Args:
        made: The network, and the task that it was trained on.
        task: What it is asked; the same, or one with the same inputs and outputs.

    Returns:
        Columns: `index` of the example in its `split`, `target`, `prediction`, and `score`, the
        task's metric of this one example.

    Raises:
        SpecError: The other task has other inputs or outputs.
    """
    if (task.inputs, task.outputs) != (made.task.inputs, made.task.outputs):
        raise SpecError(
            f"{task.name} has other inputs or outputs than {made.task.name}, which the network was "
            "trained on; name a task that asks the same."
        )
    batch = (made.record.spec.protocol or Protocol()).batch
    columns: dict[str, list[Any]] = {
        name: [] for name in ("index", "split", "target", "prediction", "score")
    }
    for split in PREDICTED:
        rows = list(answered(made.network, task, split, batch))
        targets, answers, scores = (
            [value for row in rows for value in row[place]] for place in range(3)
        )
        columns["index"] += range(len(targets))
        columns["split"] += [split] * len(targets)
        for name, values in (("target", targets), ("prediction", answers), ("score", scores)):
            columns[name] += values
    return columns


@torch.no_grad()
def answered(
    network: Network, task: LearningTask, split: Split, size: int
) -> Iterator[tuple[list[Any], list[Any], list[float]]]:
    """Yield the targets, the answers and the scores of each batch of a split."""
    outputs = task.outputs
    for batch in (each.to(torch.device("cpu")) for each in task.rows(split).batches(size)):
        predicted: Tensor = network(batch.inputs, batch.lengths)
        figures = outputs.per_example(predicted, batch.targets)
        scores = [outputs.score(figure[None], 1)[outputs.metric] for figure in figures]
        yield batch.targets.tolist(), outputs.answers(predicted).tolist(), scores
