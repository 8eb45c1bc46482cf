"""The bytes of every version of every task are pinned."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.plugins.loading import load_task
from harness.plugins.registry import registry
from harness.testing import fingerprint

GOLDEN = Path(__file__).parents[1] / "golden" / "fingerprints.json"
PINNED: dict[str, str] = json.loads(GOLDEN.read_text())


@pytest.mark.parametrize("name", registry().of("task"))
def test_data_move_only_with_their_version(name: str, need_files: Callable[[Any], None]) -> None:
    task = load_task(name)
    need_files(task)
    found = fingerprint(task) if task.learns else "no data"

    assert PINNED.get(f"{name}@{task.version}") == found, (
        f"The data of {name}@{task.version} are not the ones that are pinned; raise the task's "
        f"version and pin {found} in {GOLDEN.name} beside the older versions."
    )


def test_every_pinned_task_still_exists() -> None:
    assert {pinned.partition("@")[0] for pinned in PINNED} <= set(registry().of("task"))
