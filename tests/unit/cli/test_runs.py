"""What the options of `run` change in protocols."""

import pytest

from harness.cli.runs import chosen_executor, parse_seconds, protocol_changes
from harness.core.errors import SpecError


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5 min", 90), ("10min", 600), ("2h", 7200)]
)
def test_a_budget_is_a_time(text, seconds):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0min", "ten", "10m", "-5s"])
def test_what_is_no_time_is_refused_in_a_sentence(text):
    with pytest.raises(SpecError, match="write it like 90s, 10min or 2h"):
        parse_seconds(text)


def test_equal_time_means_as_many_steps_as_fit():
    assert protocol_changes("batch=16", "", "10min", []) == {
        "batch": 16,
        "steps": 0,
        "seconds": 600,
    }


def test_sweeps_are_put_together_and_left_out_options_change_nothing():
    assert protocol_changes("", "", "", ["lr_scale=1,3", "state=8,16"]) == {
        "sweep": "lr_scale=1,3;state=8,16"
    }
    assert protocol_changes("", "params=1k", "", []) == {"match": "params=1k"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("steps=5", "", "10min", []), "leave steps and seconds out"),
        (("", "width=5", "", []), "matched by parameters"),
        (("", "params=1k", "", ["width=1,2"]), "width cannot be swept"),
        (("stepz=5", "", "", []), "Did you mean 'steps'"),
    ],
)
def test_options_that_contradict_each_other_are_refused_before_anything_is_planned(given, said):
    with pytest.raises(SpecError, match=said):
        protocol_changes(*given)


def test_options_of_an_executor_may_be_given_beside_it():
    assert str(chosen_executor("", jobs=None, isolation="")) == "local"
    assert str(chosen_executor("", jobs=2, isolation="fresh")) == "local[isolation=fresh,jobs=2]"
    assert str(chosen_executor("ray[cpus=4]", jobs=None)) == "ray[cpus=4]"


@pytest.mark.parametrize("option", ["jobs", "isolation"])
def test_an_option_that_an_executor_has_is_not_given_twice(option):
    with pytest.raises(SpecError, match=f"says its {option} already; leave --{option} out"):
        chosen_executor("local[jobs=1,isolation=warm]", **{option: "2"})
