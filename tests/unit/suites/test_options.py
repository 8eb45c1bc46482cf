"""Options of tasks that make no sense are refused by name, whatever the task."""

import dataclasses
from contextlib import suppress
from time import perf_counter

import pytest

from harness.api import GeneratedTask, SpecError
from harness.plugins.loading import load_task, recipe_class
from harness.plugins.registry import registry

CASES = [
    (name, field.name)
    for name, entry in registry().of("task").items()
    for field in dataclasses.fields(recipe_class(entry))
    if type(field.default) is int
]


@pytest.mark.parametrize("value", [0, -1, 10**12])
@pytest.mark.parametrize(("name", "option"), CASES)
def test_a_whole_number_builds_a_task_that_fits_into_memory_or_is_refused_by_name(
    name: str, option: str, value: int
) -> None:
    before, task = perf_counter(), None

    with suppress(SpecError):
        task = load_task(f"{name}[{option}={value}]")
    if task is None:
        with pytest.raises(SpecError, match=rf"\b{option}\b"):
            load_task(f"{name}[{option}={value}]")
    else:
        assert value == getattr(task, option) == 0, "0 may stand for a default"
        assert 1 <= task.max_length <= 2**22
        assert not isinstance(task, GeneratedTask) or task.chance < 1

    assert perf_counter() - before < 1


@pytest.mark.parametrize(
    ("selector", "sentence"),
    [
        ("tracking/parity[length=1000000000000]", "'length' must be at most 1,048,576, not"),
        ("retrieval/mqar[pairs=0]", "'pairs' must be at least 1, not 0"),
        ("retrieval/selective-copying[vocabulary=3]", "'vocabulary' must be at least 4, not 3"),
        ("retrieval/infilling[words=1,letters=1]", "'letters' must be at least 2, not 1"),
        ("synthetic/listops-subtrees[arguments=10000]", "'arguments' must be at most 50, not"),
        ("synthetic/shift[shifts=600]", "shifts <= length, not shifts=600, length=512"),
    ],
)
def test_the_option_that_makes_no_sense_is_the_one_that_is_named(
    selector: str, sentence: str
) -> None:
    with pytest.raises(SpecError, match=sentence):
        load_task(selector)
