"""Values as JSON and back; a selector stands in it as its text."""

import msgspec
import pytest

from harness.core import codec
from harness.core.config import RunSpec, Selector


def test_a_run_comes_back_as_it_was_with_its_selectors_read():
    run = RunSpec(task="synthetic/shift@1[length=16]", model="s4d[state=8]", seed=3)

    assert codec.decode(codec.encode(run), RunSpec) == run
    assert codec.convert(codec.builtins(run), RunSpec).model.options == {"state": 8}


def test_a_selector_that_is_no_text_is_refused():
    with pytest.raises(msgspec.ValidationError, match="a name with options is text, not 3"):
        codec.decode(b"3", Selector)


def test_what_has_no_form_in_json_is_refused_by_its_type():
    with pytest.raises(NotImplementedError, match="object has no form in JSON"):
        codec.encode(object())
