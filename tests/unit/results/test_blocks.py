"""Which tasks stand in one table: those that have most of their models in common."""

import pytest

from harness.results.aggregate import comparable_groups
from harness.results.blocks import blocks
from tests.unit.report.made_records import scored


def parted(tasks):
    """Return the blocks of tasks whose models are given, as their titles."""
    records = [
        scored(0.5, task=task, model=model, parameters=0 if model == "chance" else 100)
        for task, models in tasks.items()
        for model in models.split()
    ]
    return [[group.title for group in block] for block in blocks(comparable_groups(records))]


@pytest.mark.parametrize(
    ("tasks", "found"),
    [
        ({"a/a": "s4d gru", "a/b": "s4d gru lstm"}, [["a/a", "a/b"]]),
        ({"a/a": "s4d", "a/b": "gru", "a/c": "gru lstm"}, [["a/b", "a/c"], ["a/a"]]),
        ({"a/a": "mamba chance", "a/b": "s4d chance"}, [["a/a"], ["a/b"]]),
        ({"a/a": "s4d gru", "a/b": "gru lstm dlr", "a/c": "dlr lstm"}, [["a/b", "a/c"], ["a/a"]]),
        ({"a/a": "s4d gru", "a/b": "lstm dlr", "a/c": "s4d gru lstm dlr"}, [["a/a", "a/b", "a/c"]]),
        ({"a/a": "s4d", "a/b": "chance"}, [["a/a", "a/b"]]),
        (
            {"a/a": "s4d gru", "a/b": "s4d gru s4d[state=8] s4d[state=16]"},
            [["a/a"], ["a/b"]],
        ),
        ({"a/a": "s4d gru", "a/b": "s4d gru s4d[state=8]"}, [["a/a", "a/b"]]),
        ({}, []),
    ],
    ids=[
        "most",
        "largest-first",
        "chance-everywhere",
        "half",
        "bridged",
        "chance-alone",
        "ablation",
        "variant",
        "none",
    ],
)
def test_tasks_with_most_of_their_models_in_common_are_one_block(tasks, found):
    assert parted(tasks) == found
