"""Citing reads the source of a model and the `.bib` files beside it, and says what is missing."""

import subprocess
import sys

import pytest

from harness.core.errors import SpecError
from harness.plugins.cite import cite
from harness.plugins.registry import registry

BIB = """@article{one,
  title = {A {Nested} title},
}

@misc{two, title = {Two}}
"""


@pytest.fixture
def plugin(tmp_path):
    """Return a function that writes a plugin with a reference beside a bibliography."""

    def write(reference, annotation=": ClassVar[str]", bib=BIB):
        (tmp_path / "papers.bib").write_text(bib)
        path = tmp_path / "mine.py"
        path.write_text(
            "from typing import ClassVar\n\n"
            f"class Mine(Model):\n    reference{annotation} = {reference!r}\n"
        )
        return str(path)

    return write


def test_several_keys_give_their_entries_in_the_order_of_the_recipe(plugin):
    one, two = BIB.strip().split("\n\n")

    assert cite(["mine"], (plugin("two, one"),)) == f"{two}\n\n{one}"


def test_an_entry_that_two_models_share_is_printed_once(plugin):
    assert cite(["mine", "mine"], (plugin("two"),)).count("@misc{two") == 1


def test_a_missing_entry_is_told_with_the_near_miss(plugin):
    with pytest.raises(SpecError, match=r"called 'ones'.*Did you mean 'one'"):
        cite(["mine"], (plugin("ones"),))


def test_papers_are_found_without_an_annotation_too(plugin):
    assert cite(["mine"], (plugin("one", annotation=""),)).startswith("@")


def test_a_model_without_a_paper_says_so(plugin):
    with pytest.raises(SpecError, match="'mine' follows no paper"):
        cite(["mine"], (plugin(""),))


def test_an_unknown_model_is_told_with_the_near_miss():
    with pytest.raises(SpecError, match="Did you mean 's4'"):
        cite(["s4q"])


def test_an_entry_that_is_never_closed_is_told(plugin):
    with pytest.raises(SpecError, match="never closed"):
        cite(["mine"], (plugin("three", bib="@misc{three, title = {Three}"),))


OURS = [entry for entry in registry().of("model").values() if entry.origin == "ssm-bench"]


@pytest.mark.parametrize("entry", OURS, ids=lambda entry: entry.name)
def test_every_model_of_ours_cites_entries_that_exist(entry):
    if entry.name == "chance":
        with pytest.raises(SpecError, match="follows no paper"):
            cite([entry.name])
    else:
        assert cite([entry.name]).startswith("@")


def test_no_key_stands_twice_in_our_bibliography():
    for path in {path for entry in OURS for path in entry.path.parent.glob("*.bib")}:
        heads = [line for line in path.read_text().splitlines() if line.startswith("@")]
        keys = {head.partition("{")[2] for head in heads}
        assert len(heads) == len(keys) > 0


def test_citing_loads_no_torch():
    code = (
        "import sys; from harness.plugins.cite import cite\n"
        "assert cite(['s4d']).startswith('@')\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
