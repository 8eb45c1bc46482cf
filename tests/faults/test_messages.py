"""Whatever a child sends becomes an outcome with its reason, and never the end of the sweep."""

import math
import os
from types import SimpleNamespace

import msgspec
import pytest

from harness.core.config import Limits
from harness.core.errors import SpecError
from harness.core.messages import Job, Result
from harness.core.record import Learned
from harness.plugins.loading import BrokenPluginError, recipe_class
from harness.plugins.registry import registry
from harness.runner.deadline import Deadline
from harness.runner.executors.process import read_events
from harness.runner.worker import storable
from tests.unit.report.made_records import planned, scored

JOB = Job(planned=planned(), plugins=[], limits=Limits())
RESULT = b'{"type":"Result","outcome":"ok","learned":{"metric":"r2"}}'


def heard(said):
    """Return what the parent makes of a child's bytes."""
    reader, writer = os.pipe()
    os.write(writer, said)
    os.close(writer)
    with os.fdopen(reader, "rb") as stdout:
        child = SimpleNamespace(pid=os.getpid(), stdout=stdout)
        return read_events(child, JOB, lambda progress: None, Deadline(0))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (RESULT, "higher_is_better"),
        (b'{"type":"Result","outcome":"won"}', "Invalid enum value 'won'"),
        (b'{"type":"Result","outcome":"ok","parameters":null,"path":3}', "$.path"),
        (b'{"type":"Progress","step":"one","steps":2}', "$.step"),
        (b'{"type":"Result","outcome":"failed","reason":"\xff"}', "utf-8"),
        (b'{"type":"Result","outcome":"ok","conditions":{"a":' + b"[" * 60_000, "too deeply"),
        (b"not a line of ours", "malformed"),
    ],
)
def test_a_line_that_is_no_message_is_the_outcome_of_its_run(line, reason):
    result = heard(line + b"\n")

    assert result.outcome == "failed"
    assert result.reason.startswith("Its process sent no result: ")
    assert reason in result.reason


def left(**fields):
    """Make what a training left, some of it otherwise."""
    return Result(outcome="ok", learned=msgspec.structs.replace(scored().learned, **fields))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"chance": math.nan}, "learned.chance is not finite"),
        ({"chance": "half"}, "learned.chance: Expected `float`, got `str`"),
        ({"shortcuts": {"copy": math.inf}}, "learned.shortcuts.copy is not finite"),
        ({"shortcuts": "none"}, "learned.shortcuts: Expected `object`, got `str`"),
        ({"validation": [(1, -math.inf)]}, "learned.validation[0][1] is not finite"),
        ({"chance": object()}, "object has no form in JSON"),
    ],
)
def test_a_result_that_json_cannot_hold_is_told_by_the_name_of_its_field(fields, reason):
    with pytest.raises(SpecError) as told:
        storable(left(**fields))

    assert str(told.value).startswith("What it gave cannot be kept: ")
    assert reason in str(told.value)


def test_a_result_that_can_be_kept_is_as_it_was():
    assert storable(left()) == left()
    assert isinstance(left().learned, Learned)


def test_a_version_that_is_no_number_is_the_plugins_own_fault(tmp_path):
    file = tmp_path / "worded.py"
    file.write_text(
        "from dataclasses import dataclass\nfrom typing import ClassVar\n"
        "from harness.api import Model\n\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Worded(Model):\n"
        "    version: ClassVar = 'one'\n\n    def build(self, *, width, length, causal):\n"
        "        return None\n"
    )
    entry = registry((str(file),)).find("model", "worded")

    with pytest.raises(BrokenPluginError, match="a whole number from 1 on as its version, not"):
        recipe_class(entry)
