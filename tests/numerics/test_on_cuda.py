"""A GPU computes what the processor computes: outputs and every gradient, in double precision.

And what it replays is what it steps.
"""

import pytest
import torch

from harness.plugins.loading import load_model
from harness.plugins.registry import registry
from harness.testing.model_under_test import ModelUnderTest
from harness.testing.replaying import replays_as_it_steps


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", registry().of("model"))
@pytest.mark.parametrize("causal", [True, False])
def test_a_model_gives_on_a_card_what_it_gives_on_the_processor(name: str, causal: bool) -> None:
    recipe = load_model(name)
    models = [ModelUnderTest(recipe, causal, device) for device in ("cpu", "cuda")]
    if reason := recipe.refusal(models[0].task):
        pytest.skip(reason)
    found = []
    for model in models:
        network = model.network()
        output = network(model.features())
        if output.requires_grad:
            (output * torch.linspace(-1, 1, output[0, 0].numel()).to(output)).sum().backward()
        grads = {key: p.grad.cpu() for key, p in network.named_parameters() if p.grad is not None}
        found.append((output.detach().cpu(), grads))
    torch.testing.assert_close(found[1], found[0])


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", registry().of("model"))
def test_a_step_that_is_replayed_as_a_graph_is_the_step(name: str) -> None:
    """A check that does not apply is a skipped test: the reason is why nothing was recorded."""
    replays_as_it_steps(load_model(name), "cuda")
