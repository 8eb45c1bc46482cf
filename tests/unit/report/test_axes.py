"""Figures over what was swept, and over two numbers of a task."""

import msgspec
import numpy as np
import pytest

from harness.core.config import Protocol
from harness.core.record import Swept, Trial
from harness.report import Report
from harness.report.figures import possible
from harness.report.heat_figures import planes
from harness.results.aggregate import comparable_groups
from tests.unit.report.made_records import scored

SWEPT = Protocol(sweep="lr_scale=0.3,1.0,3.0;state=16,64")


def swept(window=(1.0, 3.0)):
    """Make a sweep over a rate and an option, of which the rate has a window."""
    trials = [
        Trial(
            values={"lr_scale": rate, "state": state},
            run_id=f"{rate},{state}",
            outcome="ok" if state == 64 or rate < 3 else "diverged",
            validation=rate / 4 + state / 1000 if state == 64 or rate < 3 else None,
            learned=rate >= window[0],
        )
        for rate in (0.3, 1.0, 3.0)
        for state in (16, 64)
    ]
    chosen = {"lr_scale": 3.0, "state": 64}
    return Swept(chosen=chosen, trials=trials, windows={"lr_scale": window, "state": (64.0, 64.0)})


def drawn(records, name):
    found = [each for all_of in Report(records).pictures().values() for each in all_of]
    return next((each for each in found if each.name == name), None)


def test_what_was_swept_is_drawn_with_all_else_as_chosen() -> None:
    records = [scored(0.9, protocol=SWEPT, swept=swept()), scored(0.5, model="gru")]
    picture = drawn(records, "windows")

    by_panel = {(panel, name, tuple(x)): y for panel, name, x, y in picture.series}
    (line,) = [y for (_, name, x), y in by_panel.items() if name == "s4d" and len(x) == 3]
    assert line == pytest.approx([0.3 / 4 + 0.064, 0.25 + 0.064, 0.75 + 0.064], abs=1e-4)
    assert b">lr_scale<" in picture.svg
    assert b">state<" not in picture.svg, "beside the chosen one only one trial has a score"
    assert drawn([scored(0.5)], "windows") is None


def options(task, **values):
    text = ",".join(f"{name}={value}" for name, value in sorted(values.items()))
    return {"task": f"{task}[{text}]", "task_options": {**values, "kind": "x", "causal": True}}


def square(**fields):
    """Make scores of two models at two lengths and two numbers of pairs, one of them missing."""
    return [
        msgspec.structs.replace(
            scored(level + length / 1000, model=model, task=made["task"], **fields),
            task_options=made["task_options"],
        )
        for model, level in (("s4d", 0.3), ("gru", 0.5))
        for length in (64, 128)
        for pairs in (4, 8)
        if (model, length, pairs) != ("gru", 128, 8)
        for made in [options("a/recall", length=length, pairs=pairs)]
    ]


def test_a_task_over_two_numbers_is_a_map_of_each_model() -> None:
    (plane,) = planes(comparable_groups(square()))

    assert (plane.across, plane.up, plane.axes) == ("length", "pairs", ([64, 128], [4, 8]))
    assert plane.models == ["gru", "s4d"]
    assert plane.ends == (0.1, 1.0), "chance and perfect"
    np.testing.assert_allclose(plane.scores("s4d"), [[0.364, 0.428]] * 2)
    np.testing.assert_allclose(plane.scores("gru"), [[0.564, 0.628], [0.564, np.nan]])
    picture = drawn(square(), "planes")
    assert picture.svg.count(b"on a/recall") == 2
    assert {panel for panel, *_ in picture.series} == {"gru on a/recall", "s4d on a/recall"}


def asked_further(model, seed, level):
    """Make a run whose network was asked at two lengths and two depths, and at one of a third."""
    sets = {
        f"length-{length}-depth-{depth}": {"accuracy": level + length / 1000 + depth / 200}
        for length in (64, 128)
        for depth in (0, 50)
    }
    more = {"length-256-depth-0": {"accuracy": level}, "length-256": {"accuracy": 0.0}}
    record = scored(level, model=model, seed=seed)
    learned = msgspec.structs.replace(record.learned, scores={"test": {}, **sets, **more})
    return msgspec.structs.replace(record, learned=learned)


def test_a_network_that_was_asked_further_at_two_numbers_has_a_map() -> None:
    records = [
        asked_further("s4d", 0, 0.1),
        asked_further("s4d", 1, 0.3),
        asked_further("gru", 0, 0),
    ]
    (plane,) = planes(comparable_groups(records))

    assert (plane.across, plane.up) == ("length", "depth")
    assert plane.axes == ([64, 128, 256], [0, 50])
    np.testing.assert_allclose(plane.scores("s4d"), [[0.264, 0.328, 0.2], [0.514, 0.578, np.nan]])
    picture = drawn(records, "planes")
    assert {panel for panel, *_ in picture.series} == {
        "gru on synthetic/shift",
        "s4d on synthetic/shift",
    }
    assert b">depth<" in picture.svg
    assert drawn([with_line(records[0])], "planes") is None, "one depth makes no map"


def with_line(record):
    scores = {name: at for name, at in record.learned.scores.items() if "depth-50" not in name}
    return msgspec.structs.replace(
        record, learned=msgspec.structs.replace(record.learned, scores=scores)
    )


def test_tasks_that_differ_in_one_number_or_three_or_in_the_protocol_have_no_map() -> None:
    one = [each for each in square() if each.task_options["pairs"] == 4]
    third = {"task_options": {"length": 64, "pairs": 4, "kind": "y", "causal": True}}
    other = msgspec.structs.replace(scored(0.5, task="a/recall[kind=y]"), **third)

    assert planes(comparable_groups(one)) == []
    assert planes(comparable_groups([*square(), other])) == []
    assert drawn(one, "planes") is None


def with_way_around(record, **ways):
    return msgspec.structs.replace(
        record, learned=msgspec.structs.replace(record.learned, shortcuts=ways)
    )


def test_every_mean_is_on_one_map_from_chance_to_perfect() -> None:
    levels = {"a/easy": 0.9, "b/hard": 0.6, "c/hopeless": 0.4}
    records = [
        with_way_around(scored(level - drop, task=task, model=model, chance=0.5), counting=0.65)
        for task, level in levels.items()
        for model, drop in (("s4d", 0.0), ("gru", 0.1), ("lstm", 0.2))
        if (task, model) != ("c/hopeless", "lstm")
    ]
    picture = drawn([*records, scored(0.7, task="a/easy", model="mamba", chance=0.5)], "map")

    shares = {task: line for _, task, _, line in picture.series}
    assert b">mamba<" not in picture.svg, "it stands on one task alone"
    assert shares["a/easy"] == pytest.approx([0.6, 0.4, 0.8], abs=1e-4)
    assert shares["c/hopeless"] == pytest.approx([0.0, 0.0])
    assert b">0.90<" in picture.svg
    assert b">(0.60)<" in picture.svg, "counting scores more"
    assert drawn([each for each in records if each.model.name != "gru"], "map") is None


@pytest.mark.parametrize(
    ("seen", "chance", "higher_is_better", "shown"),
    [
        ((-0.8, 1.6), 0.1, True, (-0.05, 1.05)),
        ((0.2, 0.7), 0.1, True, (0.2, 0.7)),
        ((-0.8, 1.6), 0.0, True, (-0.8, 1.05)),
        ((-3.0, 9.0), 2.0, False, (-0.05, 9.0)),
    ],
    ids=["share", "inside", "variance", "error"],
)
def test_an_axis_of_scores_ends_where_none_can_be(seen, chance, higher_is_better, shown) -> None:
    assert possible(seen, chance, higher_is_better=higher_is_better) == shown
