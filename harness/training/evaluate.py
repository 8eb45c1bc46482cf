"""Scores: figures for every example of a split, reduced afterwards."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from harness.contract.batch import Batch
from harness.contract.outputs import Outputs
from harness.core.seeding import stream

RESAMPLES = 500


@torch.no_grad()
def evaluate(network: nn.Module, batches: Iterable[Batch], outputs: Outputs) -> Tensor:
    """Run batches through a network.

    Returns:
        (n, k) figures on the CPU, from which `outputs.score` reduces.
    """
    device = next(iter([*network.parameters(), *network.buffers()])).device
    network.eval()
    figures = []
    for batch in (some.to(device) for some in batches):
        predictions = network(batch.inputs, batch.lengths)
        figures.append(outputs.per_example(predictions, batch.targets).cpu())
    network.train()
    return torch.cat(figures)


def interval(
    figures: Tensor, outputs: Outputs, batch: int, *name: str | int
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval over examples of the outputs' metric.

    Args:
        figures: (n, k) figures of a split.
        outputs: What reduces them.
        batch: The batch size that `outputs.headline` wants.
        name: Names the stream of the resampling.
    """
    rng = stream(*name, "bootstrap")
    rows = torch.randint(len(figures), (RESAMPLES, len(figures)), generator=rng)
    scores = torch.tensor(
        [outputs.headline(figures[row], batch) for row in rows], dtype=torch.float64
    )
    low, high = scores.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high
