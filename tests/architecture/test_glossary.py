"""The glossary has every name of the contract, and none that is gone."""

import re
from pathlib import Path

import harness
import harness.api

PAGE = Path(__file__).parents[2] / "docs" / "glossary.md"
TERM = re.compile(r"^(.+)\n: ", re.MULTILINE)
WORDS = """
task suite model mixer backbone protocol preset run record cell outcome shard cache ladder frontier
selector shortcut oracle chance
"""


def terms() -> list[str]:
    """Return what the glossary explains, in its order; names of Python stand in backticks."""
    return [term for line in TERM.findall(PAGE.read_text()) for term in line.split(", ")]


def explained() -> list[str]:
    """Return the same without regard to letters: `Task` is explained by what a task is."""
    return [term.strip("`").lower() for term in terms()]


def test_every_name_that_a_plugin_may_import_is_explained() -> None:
    assert [name for name in harness.api.__all__ if name.lower() not in explained()] == []


def test_every_word_that_pages_rest_on_is_explained() -> None:
    assert [word for word in WORDS.split() if word not in explained()] == []


def test_a_name_that_is_explained_can_be_imported() -> None:
    names = {term.strip("`") for term in terms() if term.startswith("`")}
    assert names - {*harness.api.__all__, *harness.__all__} == set()


def test_nothing_is_explained_twice() -> None:
    assert sorted(explained()) == sorted(set(explained()))
