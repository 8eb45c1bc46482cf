"""Every plugin that is installed keeps the contract; a new one is covered by being there.

The bytes of every version of every task are pinned.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.core.plugin_names import Kind
from harness.nn.backbone import Backbone
from harness.plugins.loading import build, load_model, load_task
from harness.plugins.registry import registry
from harness.testing import features_task, fingerprint, learning_tasks, run_checks

GOLDEN = Path(__file__).parents[1] / "golden" / "fingerprints.json"
PINNED: dict[str, str] = json.loads(GOLDEN.read_text())
SEEN: dict[str, str] = {}
"""What a task's data were, by its name, when its checks read them."""
KINDS: tuple[Kind, ...] = ("model", "task")
EAGER = {"chance": {"Constant has no step mode, so it cannot decode."}}
"""Models whose steps are not replayed, and why."""
PLUGINS = [(kind, name) for kind in KINDS for name in registry().of(kind)]


def seen(task: Any) -> str:
    """Read a task's data as its checks do, and keep what they are: reading takes seconds."""
    SEEN[task.name] = fingerprint(task)
    return SEEN[task.name]


@pytest.mark.parametrize(("kind", "name"), PLUGINS, ids=lambda part: part)
def test_a_plugin_passes_every_check_that_applies(
    kind: Kind, name: str, need_files: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    need_files(build(kind, name))
    monkeypatch.setattr(learning_tasks, "fingerprint", seen)
    results = list(run_checks(kind, name))

    failures = [f"{result.name}: {result.reason}" for result in results if result.reason]
    assert not [result for result in results if result.outcome == "failed"], "\n".join(failures)
    assert any(result.outcome == "passed" for result in results)
    eager = {result.reason for result in results if result.name == "replays_as_it_steps"} - {""}
    assert eager <= EAGER.get(name, set()), "every step of ours can be recorded and replayed"


@pytest.mark.parametrize("name", registry().of("task"))
def test_data_move_only_with_their_version(name: str, need_files: Callable[[Any], None]) -> None:
    task = load_task(name)
    need_files(task)
    found = (SEEN.get(name) or fingerprint(task)) if task.learns else "no data"

    assert PINNED.get(f"{name}@{task.version}") == found, (
        f"The data of {name}@{task.version} are not the ones that are pinned; raise the task's "
        f"version and pin {found} in {GOLDEN.name} beside the older versions."
    )


def test_every_pinned_task_still_exists() -> None:
    assert {pinned.partition("@")[0] for pinned in PINNED} <= set(registry().of("task"))


@pytest.mark.parametrize("name", registry().of("task"))
def test_a_task_says_what_it_wants_before_its_files_are_there(name: str) -> None:
    task = load_task(name)

    assert isinstance(task.causal, bool)
    assert task.max_length >= 1
    assert task.inputs.encoder(4)
    assert task.outputs.head(4)


@pytest.mark.parametrize("name", registry().of("model"))
def test_a_network_names_the_form_in_which_it_computes(name: str) -> None:
    model = load_model(name)
    task = next(t for t in map(features_task, (True, False)) if not model.skip(t))

    assert model.assemble(Backbone, task, 16, 1, 0.0).path()


def test_no_plugin_is_broken() -> None:
    assert registry().broken() == []
