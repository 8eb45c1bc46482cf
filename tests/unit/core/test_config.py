"""Names with options, protocols and runs are values that print as they parse."""

import dataclasses
import math
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.config import (
    Protocol,
    RunSpec,
    Selector,
    checked_options,
    parse_options,
)
from harness.core.errors import SpecError, UnknownNameError
from harness.core.seeds import parse_seeds

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,8}(/[a-z][a-z0-9-]{0,8})?", fullmatch=True)
KEYS = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
WORDS = st.from_regex(r"[a-z]{1,8}", fullmatch=True).filter(
    lambda word: word not in {"true", "false", "inf", "nan", "infinity"}
)
VALUES = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS


@given(NAMES, st.dictionaries(KEYS, VALUES, max_size=4), st.none() | st.integers(1, 99))
def test_a_selector_reads_back_what_it_prints(name, options, version):
    selector = Selector.of(name, options, version)
    read = Selector(str(selector))

    assert read == selector
    assert (read.name, read.options, read.version) == (name, options, version)


@pytest.mark.parametrize("text", ["", "S4D", "s4d[", "s4d]", "s4d[state]", "s4d[a=1,a=2]", "a b"])
def test_a_malformed_selector_is_refused_in_a_sentence(text):
    with pytest.raises(SpecError, match=r"\.$"):
        Selector(text)


def test_commas_between_the_brackets_of_an_option_part_nothing():
    read = Selector("hybrid[a=gru,m=mamba2@1[conv=2,state=16]]")

    assert read.options == {"a": "gru", "m": "mamba2@1[conv=2,state=16]"}
    assert Selector(str(read)) == read


def test_a_misspelled_option_is_answered_with_the_near_miss():
    with pytest.raises(SpecError, match="Did you mean 'steps'"):
        Protocol().changed(parse_options("step=3"))


def test_an_option_of_the_wrong_type_is_refused_with_what_was_wanted():
    with pytest.raises(SpecError, match=r"takes a value like '1000' \(int\), not 'many'"):
        Protocol().changed({"steps": "many"})


@dataclasses.dataclass
class Recipe:
    """Has an option of each type."""

    steps: int = 1
    rate: float = 0.5
    kind: str = "plain"
    deep: bool = False
    mode: Literal["nan", "true", "1"] = "1"


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("steps=1e3", 1000),
        ("steps=1000.0", 1000),
        ("steps=12345678901234567890", 12345678901234567890),
        ("rate=1e-3", 0.001),
        ("rate=2", 2.0),
        ("kind=nan", "nan"),
        ("kind=true", "true"),
        ("kind=1", "1"),
        ("kind=1e3", "1e3"),
        ("kind=01", "01"),
        ("deep=true", True),
        ("mode=nan", "nan"),
        ("mode=true", "true"),
        ("mode=1", "1"),
    ],
)
def test_an_option_is_read_as_its_fields_type(typed, value):
    [read] = checked_options(Recipe, parse_options(typed), "the model").values()
    [through] = checked_options(Recipe, Selector(f"m[{typed}]").options, "the model").values()

    assert (read, type(read)) == (value, type(value))
    assert through == read


@pytest.mark.parametrize("typed", ["steps=1.5", "steps=nan", "steps=inf", "rate=nan", "deep=1"])
def test_what_is_no_value_of_a_fields_type_is_refused(typed):
    with pytest.raises(SpecError, match="takes a value like"):
        checked_options(Recipe, parse_options(typed), "the model")


@given(st.text(st.characters(blacklist_characters=",=[]"), min_size=1).map(str.strip).filter(bool))
def test_no_text_is_lost_on_an_option_that_takes_text(text):
    assert checked_options(Recipe, parse_options(f"kind={text}"), "the model") == {"kind": text}


def test_an_option_outside_its_choices_is_refused():
    with pytest.raises(SpecError, match="Did you mean 'cosine'"):
        Protocol().changed({"schedule": "cosin"})


def test_an_integer_may_stand_for_a_float_but_a_float_not_for_an_integer():
    assert checked_options(Protocol, {"clip": 1}, "the protocol") == {"clip": 1.0}
    with pytest.raises(SpecError):
        checked_options(Protocol, {"steps": 1.5}, "the protocol")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seconds", -1.0),
        ("seconds", math.nan),
        ("weight_decay", -1.0),
        ("clip", -0.5),
        ("evaluations", -1),
        ("dropout", 2.0),
        ("dropout", -0.1),
        ("warmup", 2.0),
        ("lr", -0.1),
        ("lr_scale", math.inf),
    ],
)
def test_a_protocol_with_a_number_that_means_nothing_is_refused(name, value):
    with pytest.raises(SpecError, match=f"^{name} must be"):
        Protocol(**{name: value})


def test_a_wrong_number_among_choices_of_numbers_is_a_sentence():
    @dataclasses.dataclass
    class Image:
        size: Literal[128, 256, 512] = 128

    with pytest.raises(UnknownNameError, match="Known: 128, 256, 512"):
        checked_options(Image, {"size": 99}, "the task")


@pytest.mark.parametrize("name", ["steps", "batch", "width", "depth", "budget_s"])
def test_a_protocol_without_a_positive_size_is_refused(name):
    with pytest.raises(SpecError, match=f"{name} must be positive"):
        Protocol().changed({name: 0})


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("1", (0,)), ("3", (0, 1, 2)), ("0,4-6", (0, 4, 5, 6)), ("4-4", (4,)), ("2, 1-2", (2, 1))],
)
def test_seeds_are_counted_or_named(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "0", "-1", "few", "1,", "3-1", "1-", "1.5", "0,3-1"])
def test_what_names_no_seeds_is_refused_in_a_sentence(text):
    with pytest.raises(SpecError, match="names no seeds"):
        parse_seeds(text)


def test_equal_runs_have_one_name_and_any_other_value_has_another():
    run = RunSpec(task="synthetic/shift@1", model="s4d", protocol=Protocol())

    names = {
        run.run_id,
        dataclasses.replace(run).run_id,
        dataclasses.replace(run, seed=1).run_id,
        dataclasses.replace(run, task="synthetic/shift@2").run_id,
        dataclasses.replace(run, protocol=Protocol(steps=7)).run_id,
        dataclasses.replace(run, device="cuda").run_id,
    }

    assert len(names) == 5


def test_the_order_in_which_options_are_written_names_nothing():
    written = [
        RunSpec(task="retrieval/mqar@1", model=f"s4d@1[{options}]", protocol=Protocol())
        for options in ("state=8,dt_min=0.01", "dt_min=0.01,state=8")
    ]

    assert written[0] == written[1]
    assert written[0].run_id == written[1].run_id


def test_a_run_is_named_by_the_fields_of_its_protocol_that_are_no_defaults():
    assert Protocol().chosen == {"version": 1}
    assert Protocol(seconds=150, lr=1e-3).chosen == {"version": 1, "seconds": 150.0, "lr": 1e-3}
    assert Protocol(pretrain="self").chosen == {"version": 1, "pretrain": "self"}
    named = RunSpec(task="synthetic/shift@1", model="s4d@1", protocol=Protocol(steps=7))
    assert named.run_id == "cc8afafa36d9f366", "whatever options and fields come later"


DEFAULTS = {
    1: {
        "steps": 1000,
        "seconds": 0.0,
        "batch": 32,
        "width": 64,
        "depth": 2,
        "dropout": 0.0,
        "lr": 0.0,
        "lr_scale": 1.0,
        "weight_decay": 0.01,
        "warmup": 0.1,
        "schedule": "cosine",
        "clip": 0.0,
        "precision": "32-true",
        "evaluations": 5,
        "budget_s": 60.0,
        "vary": "init",
        "match": "",
        "sweep": "",
        "trial": False,
        "devices": 1,
        "strategy": "ddp",
        "pretrain": "",
        "pretrain_share": 0.5,
    }
}
"""By the protocol's version: what a field has that a run's name leaves out."""


def test_defaults_of_the_protocol_move_only_with_its_version():
    protocol = dataclasses.asdict(Protocol())
    version = protocol.pop("version")

    assert DEFAULTS[version] == protocol, "raise Protocol.version, or add the field that is new"
