"""How fast every registered model is in one block of the backbone."""

from typing import Any

import pytest
import torch

from harness.core.errors import UnsupportedError
from harness.core.seeding import scope, stream
from harness.nn.backbone import Backbone
from harness.plugins.loading import load_model, load_task
from harness.plugins.registry import registry


@pytest.mark.parametrize("call", ["forward", "train", "decode"])
@pytest.mark.parametrize("name", registry().of("model"))
def test_a_model_in_one_block(benchmark: Any, call: str, name: str) -> None:
    task, model = load_task(f"scaling/{call}[length=1024]"), load_model(name)
    if reason := model.skip(task):
        pytest.skip(reason)
    benchmark.group = call
    protocol = task.protocol
    with scope("perf"):
        network = model.assemble(Backbone, task, protocol.width, protocol.depth, 0.0)
    try:
        work = task.workload(network, protocol.batch, stream("perf"))
    except UnsupportedError as error:
        pytest.skip(str(error))
    result = benchmark.pedantic(work.call, rounds=10, iterations=1, warmup_rounds=2)
    assert torch.isfinite(result).all()
