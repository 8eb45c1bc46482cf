"""Records of code that has changed are neither averaged nor compared with those of the new."""

import pytest

from harness.report import Report
from harness.results.aggregate import cells
from harness.results.compare import compare
from harness.results.newest import left_out, newest
from harness.results.publish import publish
from harness.results.store import Store
from tests.unit.report.made_records import made_of, scored

COMMITTED = {"commit": "abc", "dirty": False}


def runs(digest, scores, began, **fields):
    return [
        scored(score, seed=seed, model="leaky", sources=made_of(digest), started=began, **fields)
        for seed, score in enumerate(scores)
    ]


@pytest.fixture
def records():
    """Four seeds, an edit, two seeds."""
    old = runs("a", (-9.0, -8.5, -9.5, -9.0), "2026-01-01T00:00:00Z", lower=True)
    return [*old, *runs("b", (0.5, 0.7), "2026-01-02T00:00:00Z", lower=True)]


def test_a_cell_holds_runs_of_the_newest_code_only(records):
    (cell,) = cells(records)

    assert cell.scores == (0.5, 0.7)


def test_the_newest_is_the_code_that_ran_last_not_the_one_that_came_last(records):
    back = runs("a", (-9.0,), "2026-01-03T00:00:00Z", lower=True)

    (cell,) = cells([*back, *records[1:]])

    assert cell.scores == (-9.0, -8.5, -9.5, -9.0)


def test_a_changed_task_leaves_out_the_records_of_every_model_on_it():
    old = scored(0.5, model="s4d", sources=made_of("a", "task"), started="2026-01-01")
    new = scored(0.6, model="lstm", sources=made_of("b", "task"), started="2026-01-02")

    assert newest([new, old]) == ([new], [old])


def test_the_table_says_how_many_older_records_it_leaves_out(records):
    report = Report(records)
    score_table, *_ = report.tables()["Scores"]

    assert [cell.text for cell in score_table.rows[0]][-1].endswith("(n=2)")
    assert "Left out: older records, made before the code of a plugin changed" in score_table.note
    assert "4 of leaky on synthetic/shift" in score_table.note
    assert left_out([]) == ""


def test_what_changed_within_a_side_is_left_out_of_a_comparison_and_between_sides_compared(records):
    (change,) = compare(records[:4], records).changes

    assert change.seeds == (0, 1)
    assert change.score.mean_b == pytest.approx(0.6)


def test_only_the_newest_is_published(records, tmp_path):
    for record in records:
        Store(tmp_path / "here").append(_committed(record))

    assert publish(tmp_path / "here", tmp_path / "there").moved == 2
    assert publish(tmp_path / "here", tmp_path / "there").known == 2


def _committed(record):
    return scored(
        record.learned.score,
        seed=record.spec.seed,
        model="leaky",
        lower=True,
        sources=record.sources,
        started=record.started,
        machine=COMMITTED,
    )
