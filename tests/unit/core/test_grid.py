"""What is matched and swept is read into the one way in which it names runs."""

from dataclasses import replace

import pytest

from harness.core.config import Protocol, RunSpec
from harness.core.errors import SpecError, UnknownNameError
from harness.core.grid import grid_text, parse_grid, parse_match, points, refuse_unknown, settled


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("params=200k", 200_000),
        ("parameters = 1.5M", 1_500_000),
        ("params=1e6", None),
        ("params=0", None),
        ("params=", None),
        ("200k", None),
    ],
)
def test_a_match_is_a_number_of_parameters_or_refused_in_a_sentence(text, parameters):
    if parameters:
        assert parse_match(text) == parameters
        return
    with pytest.raises(SpecError, match=r"params=200k|write it like 200k"):
        parse_match(text)


@pytest.mark.parametrize("text", ["step_s=20ms", "time = 1"])
def test_equal_times_of_a_step_are_refused_with_what_to_do_instead(text):
    with pytest.raises(SpecError, match=r"on each machine.*--budget.*--sweep width"):
        parse_match(text)


def test_equal_sweeps_are_one_text_however_they_are_written():
    written = "state=64,16 ; lr_scale = 10, .3,1,1.0,3"

    assert grid_text(parse_grid(written)) == "lr_scale=0.3,1.0,3.0,10.0;state=16,64"
    assert grid_text(parse_grid(grid_text(parse_grid(written)))) == grid_text(parse_grid(written))
    assert points(parse_grid("batch=1,2;mode=b,a"))[1] == {"batch": 1, "mode": "a"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lr_scale", "write it like lr_scale=0.3,1,3,10"),
        ("lr_scale=3", "leaves no choice; give two values or more"),
        ("lr_scale=1,1.0", "leaves no choice"),
        ("lr_scale=", "leaves no choice"),
        ("lr_scale=1,2;lr_scale=3,4", "swept twice"),
        ("seed=0,1", "'seed' cannot be swept: scores are averaged over seeds, which --seeds"),
        ("match=a,b", "'match' cannot be swept"),
        ("lr_scale=1,fast", "takes a value like '1.0'"),
    ],
)
def test_a_sweep_without_a_choice_is_refused_in_a_sentence(text, said):
    with pytest.raises(SpecError, match=said):
        parse_grid(text)


def test_the_width_is_not_swept_where_it_matches_parameters():
    with pytest.raises(SpecError, match="width cannot be swept: it is chosen"):
        settled(Protocol(match="params=1k", sweep="width=8,16"))


def test_what_nobody_has_cannot_be_swept():
    refuse_unknown(parse_grid("lr_scale=1,2;state=1,2"), {"state"})
    with pytest.raises(UnknownNameError, match="Did you mean 'lr_scale'"):
        refuse_unknown(parse_grid("lr_scal=1,2"), {"state"})


def test_a_run_is_named_by_what_is_matched_and_swept_and_not_by_what_follows_from_it():
    asked = RunSpec(
        task="synthetic/shift@1",
        model="s4d@1[dt_min=0.1]",
        protocol=Protocol(match="parameters=1000", sweep="lr_scale=1.0,3.0;state=16,64"),
    )
    made = replace(
        asked,
        model="s4d@1[dt_min=0.1,state=16]",
        protocol=replace(asked.protocol, width=23, lr_scale=3.0),
    )
    other = replace(made, protocol=replace(made.protocol, sweep=""))

    assert made.run_id == asked.run_id
    assert made.asked == asked.model
    assert other.run_id != made.run_id
    assert other.asked == made.model
