"""Every plugin that is installed keeps the contract; a new one is covered by being there."""

from collections.abc import Callable
from typing import Any

import pytest

from harness.core.plugin_names import Kind
from harness.plugins.loading import build
from harness.plugins.registry import registry
from harness.testing import run_checks

KINDS: tuple[Kind, ...] = ("model", "task")
PLUGINS = [(kind, name) for kind in KINDS for name in registry().of(kind)]


@pytest.mark.parametrize(("kind", "name"), PLUGINS, ids=lambda part: part)
def test_a_plugin_passes_every_check_that_applies(
    kind: Kind, name: str, need_files: Callable[[Any], None]
) -> None:
    need_files(build(kind, name))
    results = list(run_checks(kind, name))

    failures = [f"{result.name}: {result.reason}" for result in results if result.reason]
    assert not [result for result in results if result.outcome == "failed"], "\n".join(failures)
    assert any(result.outcome == "passed" for result in results)


def test_no_plugin_is_broken() -> None:
    assert registry().broken() == []
