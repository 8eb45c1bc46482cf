"""What one training step is made of: its kernels by time, and how many are launched.

`python -m tools.cuda.profiling MODEL LENGTH PRECISION WIDTH DEVICE` writes JSON.
"""

import json
import sys
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from harness.core.seeding import scope, stream
from harness.nn.backbone import Backbone
from harness.plugins.loading import load_model, load_task
from harness.runner.worker import in_precision

KERNELS = 8
"""The longest that are named."""
WARM_UP = 2


def profiled(model: str, length: int, precision: str, width: int, device: str) -> dict[str, Any]:
    """Profile one step of `scaling/train`.

    Returns:
        `launches`, how many kernels, or operators on a CPU; `device_ms`, their time together; and
        `top`: (name, calls, milliseconds), the longest first.
    """
    task: Any = load_task(f"scaling/train[length={length}]")
    recipe: Any = load_model(model)
    with scope(0, "init"):
        network = recipe.assemble(Backbone, task, width, 1, 0.0).to(device)
    in_precision(network, precision, device)
    call = task.workload(network, 1, stream("profile")).call
    for _ in range(WARM_UP):
        call()
    cuda = device == "cuda"
    activity = ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU
    with profile(activities=[activity]) as seen:
        call()
        if cuda:
            torch.cuda.synchronize()
    # What a span of code is called is no kernel, and holds the time of those in it once more.
    events = [each for each in seen.key_averages() if not each.is_user_annotation]
    rows = [(each.key, each.count, _microseconds(each, cuda=cuda)) for each in events]
    rows.sort(key=lambda row: -row[2])
    return {
        "launches": sum(count for _, count, spent in rows if spent),
        "device_ms": sum(spent for *_, spent in rows) / 1e3,
        "top": [(name[:90], count, spent / 1e3) for name, count, spent in rows[:KERNELS]],
    }


def _microseconds(event: Any, *, cuda: bool) -> float:
    return float(event.self_device_time_total if cuda else event.self_cpu_time_total)


if __name__ == "__main__":
    name, positions, kind, features, where = sys.argv[1:]
    sys.stdout.write(json.dumps(profiled(name, int(positions), kind, int(features), where)))
