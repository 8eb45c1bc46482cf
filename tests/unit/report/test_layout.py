"""A table takes the room that there is, and breaks no name inside a word."""

import re
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from harness.report.layout import Fitted, fold, pieces

NAMES = st.from_regex(
    r"[a-z]{1,9}(\[[a-z]{1,5}=[0-9]{1,3}(,[a-z]{1,5}=[a-z]{1,4})?\])?", fullmatch=True
)
SCORES = st.floats(0, 1).map(lambda value: f"{value:.3f} ± 0.001 (n=3)")


def shown(table, width):
    console = Console(file=StringIO(), width=width)
    console.print(table)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@given(st.lists(NAMES, min_size=1, max_size=9), SCORES, st.integers(40, 200))
def test_no_line_is_wider_than_the_terminal_and_no_piece_is_broken(models, score, width):
    rows = [[Text(f"synthetic/{model}"), *(Text(score) for _ in models)] for model in models]

    lines = shown(Fitted(("task", *models), rows), width)

    assert all(len(line) <= width for line in lines)
    for name in ("task", *models, *(row[0].plain for row in rows)):
        assert all(any(piece in line for line in lines) for _, piece in pieces(name)), name


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("s4d against transformer", 12, ["s4d against", "transformer"]),
        ("dlr[state=64,kernel=loop]", 14, ["dlr[state=64,", "kernel=loop]"]),
        ("0.848 ± 0.029 (n=1)", 14, ["0.848 ± 0.029", "(n=1)"]),
        ("12.5 MiB", 4, ["12.5", " MiB"]),
        ("262,144", 9, ["262,144"]),
        ("", 5, [""]),
    ],
)
def test_a_text_is_folded_where_people_would(text, width, lines):
    assert fold(text, width) == lines


def test_sentences_go_below_their_row_and_names_above_it_where_room_is_short():
    rows = [[Text("synthetic/shift"), Text("93.9 ms"), Text("records of a machine with two cores")]]
    table = Fitted(("task", "step", "extrapolated from"), rows, prose=1)

    assert shown(table, 80)[2] == "synthetic/shift  93.9 ms  records of a machine with two cores"
    assert shown(table, 40)[-2:] == [
        "synthetic/shift  93.9 ms",
        "    records of a machine with two cores",
    ]


def test_columns_that_are_too_many_follow_with_the_names_again():
    models = [f"model-{n}" for n in range(6)]
    table = Fitted(("task", *models), [[Text("a/b"), *(Text("0.500 ± 0.001") for _ in models)]])

    lines = shown(table, 50)

    assert [line.split()[1:] for line in lines if line.startswith("task")] == [
        models[:3],
        models[3:],
    ]
    assert sum(line.startswith("a/b") for line in lines) == 2
    assert not re.search(r"0\.500 ±$", "\n".join(lines), re.MULTILINE)
