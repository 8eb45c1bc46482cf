"""A thousand steps at the papers' learning rates on labels that nothing explains."""

import math

import pytest
import torch

from harness.api import Model, OneLabel, Protocol, Signal
from harness.core.seeding import scope, stream
from harness.nn.backbone import Backbone
from harness.plugins.loading import load_model
from harness.plugins.registry import registry
from harness.testing import TinyTask
from harness.training.loop import prepared

STEPS = 1000
PROTOCOL = Protocol(steps=STEPS, batch=16, width=16, depth=2)
CLASSES = 4


def labels(n: int, rng: torch.Generator) -> torch.Tensor:
    return torch.randint(CLASSES, (n,), generator=rng)


NAMES = [name for name in registry().of("model") if isinstance(load_model(name), Model)]
VARIANTS = (
    *(f"s4[init={init}]" for init in ("legt", "fout", "legs-fout", "lagt")),
    *(f"s5[{option}]" for option in ("disc=bilinear", "conj_sym=false", "clip_eigs=true")),
    *(f"s5[c_init={init}]" for init in ("trunc_standard_normal", "complex_normal")),
    *(f"s5[optimiser={rates}]" for rates in ("BandCdecay", "BfastandCdecay", "noBCdecay")),
)
"""Other initial values and other rates of what is recurrent."""


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NAMES, *VARIANTS])
def test_labels_that_nothing_explains_drive_no_parameter_out_of_the_numbers(name: str) -> None:
    """Random labels keep gradients large to the end, which is where recurrences blow up."""
    task = TinyTask(
        inputs=Signal(2), outputs=OneLabel(CLASSES), target=labels, causal=True, padded=True
    )
    model, rng = load_model(name), stream("stability", name)
    with scope("stability", name):
        network = model.assemble(Backbone, task, PROTOCOL.width, PROTOCOL.depth, 0.0)
    trainer = prepared(network, task, model, PROTOCOL, "cpu")

    losses = [trainer.step(task.sample(PROTOCOL.batch, rng)).item() for _ in range(STEPS)]

    assert all(map(math.isfinite, losses))
    assert all(p.isfinite().all() for p in network.parameters())
    # Guessing is the best there is: after all those steps no loss is far above that of chance.
    assert sum(losses[-100:]) / 100 < 2 * math.log(CLASSES)
