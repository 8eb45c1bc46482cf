"""The numbers and the defaults of every version of every model are pinned, with those of tasks.

A run's name leaves defaults out, so a version must stand for them. `python -m
tests.conformance.test_model_versions` pins what is not pinned yet and changes no other line.
"""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest

from harness.core.seeding import scope, stream
from harness.nn.backbone import Backbone
from harness.plugins.loading import load_model, load_task, options
from harness.plugins.registry import registry
from harness.testing.tiny_tasks import WIDTH, features_task

FOLDER = Path(__file__).parents[1] / "golden"
MODELS, TASKS = FOLDER / "models.json", FOLDER / "task-defaults.json"
TOLERANCE = 1e-5
"""Of the largest number; other processors add and factorise in another order."""


def rates(model: Any) -> dict[str, Any]:
    """Return what the model trains at, by group of parameters."""
    groups = {name: dataclasses.asdict(held) for name, held in model.parameter_groups().items()}
    return {"lr": model.lr, **groups}


def numbers(name: str) -> list[float]:
    """Return nine predictions of a new tiny network in float64, and its gradient's norm."""
    model, task = load_model(name), features_task(causal=True)
    with scope("golden", name):
        network = model.assemble(Backbone, task, WIDTH, 2, 0.0).double().eval()
    batch = task.sample(2, stream("golden", name))
    found = network(batch.inputs.double())
    if any(each.requires_grad for each in network.parameters()):
        task.outputs.loss(found, batch.targets).backward()
    slopes = [each.grad.norm() for each in network.parameters() if each.grad is not None]
    few = found.detach().flatten()[:: max(1, found.numel() // 9)][:9].tolist()
    return [float(f"{each:.10g}") for each in (*few, math.hypot(*map(float, slopes)))]


def held(kind: str, name: str) -> tuple[str, dict[str, Any]]:
    """Return a plugin's name with its version, and what the version stands for."""
    recipe = load_model(name) if kind == "model" else load_task(name)
    found = {"defaults": options(recipe)}
    if kind == "model":
        found |= {"rates": rates(recipe), "numbers": numbers(name)}
    return f"{name}@{recipe.version}", found


def pinned(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


@pytest.mark.parametrize("name", registry().of("model"))
def test_a_model_moves_only_with_its_version(name: str) -> None:
    version, found = held("model", name)
    golden = pinned(MODELS).get(version, {})

    said = f"of {version} are not the ones that are pinned; raise its version, and pin the new one"
    assert golden.get("defaults") == found["defaults"], f"The defaults {said}, or the option added."
    assert golden.get("rates") == found["rates"], f"The learning rates {said}."
    most = max(map(abs, golden["numbers"])) or 1.0
    assert found["numbers"] == pytest.approx(golden["numbers"], rel=0, abs=TOLERANCE * most), (
        f"The numbers {said}."
    )


@pytest.mark.parametrize("name", registry().of("task"))
def test_the_defaults_of_a_task_move_only_with_its_version(name: str) -> None:
    version, found = held("task", name)

    assert pinned(TASKS).get(version) == found["defaults"], (
        f"The defaults of {version} are not the ones that are pinned; raise its version, and pin "
        "the new one, or the option added."
    )


def test_everything_that_is_pinned_still_exists() -> None:
    for path, kind in ((MODELS, "model"), (TASKS, "task")):
        names = {version.partition("@")[0] for version in pinned(path)}
        assert names == set(registry().of(kind))


def pin() -> None:
    """Pin what has no line yet, and options that were added."""
    models, tasks = pinned(MODELS), pinned(TASKS)
    for name in registry().of("model"):
        version, found = held("model", name)
        golden = models.setdefault(version, found)
        golden["defaults"] = {**found["defaults"], **golden["defaults"]}
    for name in registry().of("task"):
        version, found = held("task", name)
        tasks[version] = {**found["defaults"], **tasks.get(version, {})}
    for path, made in ((MODELS, models), (TASKS, tasks)):
        lines = [f"  {json.dumps(key)}: {json.dumps(made[key])}" for key in sorted(made)]
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    pin()
