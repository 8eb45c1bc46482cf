"""The table of old against new memory: turns, the better median, and going on where it stopped."""

import csv
from itertools import count

import pytest

from tools import kept_memory


@pytest.fixture
def table(monkeypatch, tmp_path):
    """Return the path of a table of two rows, whose measurements are made up."""
    turns = count()

    def child(key, turn):
        if key[0] == "lost":
            return {}
        figures = (40.0 if turn == "old" else 20.0) + next(turns), 200.0, 100.0
        return dict(zip(kept_memory.FIGURES, figures, strict=True))

    keys = [("hawk", "train", 1024), ("lost", "train", 1024)]
    monkeypatch.setattr(kept_memory, "child", child)
    monkeypatch.setattr(kept_memory, "wanted", lambda: iter(keys))
    return tmp_path / "table.csv"


def rows(table):
    with table.open() as file:
        return list(csv.DictReader(file))


def test_the_better_median_of_two_processes_counts_and_what_is_too_long_has_no_figures(table):
    assert kept_memory.main(["--out", str(table)]) == 0

    hawk, lost = rows(table)
    assert (hawk["old_ms"], hawk["new_ms"], hawk["ratio"]) == ("40", "21", "1.90")
    assert (lost["model"], lost["ratio"]) == ("lost", "")


def test_a_table_is_made_in_pieces(table, monkeypatch):
    monkeypatch.setattr(kept_memory, "now", count(step=40).__next__)
    words = ["--out", str(table), "--seconds", "60"]

    assert [kept_memory.main(words) for _ in range(2)] == [1, 0]
    assert [row["model"] for row in rows(table)] == ["hawk", "lost"]
