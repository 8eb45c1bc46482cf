import csv
import io

import msgspec
import pytest
from rich.console import Console

from harness.core.config import Protocol
from harness.report import (
    Report,
    canvas,
    figures,
    formats,
    print_comparison,
    print_tables,
    tables,
    units,
    write,
)
from harness.report.scaling import series
from harness.results.aggregate import cells, comparable_groups
from harness.results.compare import compare
from tests.unit.report.made_records import MACHINE, again, lost, measured, ran_beside, scored, sweep


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (units.seconds, 4.5e-6, "4.50 µs"),
        (units.seconds, 0.0123, "12.3 ms"),
        (units.seconds, 1.0, "1.00 s"),
        (units.seconds, 119.0, "119 s"),
        (units.seconds, 600.0, "10.0 min"),
        (units.seconds, 7200.0, "2.00 h"),
        (units.memory, 0, "0.00 B"),
        (units.memory, 1023, "1,023 B"),
        (units.memory, 1024, "1.00 KiB"),
        (units.memory, 400 * 2**20, "400 MiB"),
        (units.memory, 3.5 * 2**30, "3.50 GiB"),
        (units.memory, 2.0**53, "8,192 TiB"),
        (units.scaled, 1.2e9, "1.20 G"),
        (units.scaled, 999, "999"),
        (units.count, 262_144, "262,144"),
        (units.score, 0.98765, "0.988"),
        (units.score, 12_345.6, "1.23e+04"),
    ],
)
def test_quantities_are_short_and_carry_their_unit(write, value, text):
    assert write(value) == text


@pytest.mark.parametrize(
    "write", [units.seconds, units.memory, units.scaled, units.count, units.score]
)
def test_what_is_not_known_is_a_dash(write):
    assert write(None) == units.DASH


def seeded(values, **fields):
    """Make three seeds of each model, around its score."""
    return [
        scored(score + off, model=name, seed=seed, **fields)
        for name, score in values.items()
        for seed, off in enumerate((-0.01, 0.0, 0.01))
    ]


def test_no_zero_is_negative_and_no_half_interval_is_rounded_to_nothing():
    assert units.score(-0.0002) == "0.000"
    assert units.plus_minus(-1e-5, (-0.001, 0.00098)) == "0.000 ± 0.001"
    assert units.plus_minus(0.913, (0.91296, 0.91304)) == "0.91300 ± 0.00004"
    assert units.plus_minus(-1e-7, (-3e-6, 3e-6)) == "0.000 ± 3e-06"
    assert units.plus_minus(1.0, (1.0, 1.0)) == "1.000 ± 0.000"


def test_disturbed_times_are_marked_wherever_they_are_shown(tmp_path):
    busy = ran_beside(0.5)
    learned = [
        scored(0.9, interference=busy),
        scored(0.8, model="lstm", interference=ran_beside(0)),
    ]
    records = [*learned, measured(64, [0.5], interference=busy), measured(128, [0.5])]
    write(records, tmp_path)
    markdown, page = ((tmp_path / f"report.{form}").read_text() for form in ("md", "html"))
    tables = page.split("<dialog>")[0]  # what is known of single runs comes after them
    for text in (markdown.replace("\\", ""), tables, printed(lambda c: print_tables(records, c))):
        assert "~21.0 ms" in text
        assert "~500 ms" in text
        assert text.count("21.0 ms") == 2
        assert text.count("~21.0 ms") == 1
        assert "busy with other work" in " ".join(text.split())
    for name, flags in (("scaling", ["True", ""]), ("scores", ["False", "True"])):
        text = io.StringIO((tmp_path / f"{name}.csv").read_text())
        assert [row["disturbed"] for row in csv.DictReader(text)] == flags


def test_costs_of_several_places_stand_apart_and_are_named_and_scores_together():
    there = {**MACHINE, "processor": "Another", "cores": 64}
    records = [scored(0.9), scored(0.8, seed=1, machine=there, step_s=[9.0])]
    report = Report(records)
    (score,) = report.tables()["Scores"][0].rows
    assert score[3].text.endswith("(n=2)")
    found = [(row[0].text, row[5].text) for row in report.tables()["Training"][0].rows]
    assert found == [
        ("synthetic/shift (on A processor @ 2.5 GHz, 2 cores, 2 threads, torch 2.13.0)", "21.0 ms"),
        ("synthetic/shift (on Another, 64 cores, 2 threads, torch 2.13.0)", "9.00 s"),
    ]
    (cell,) = cells(records)
    assert (cell.step_s, cell.train_s, cell.peak_bytes) == (None, None, None)


def test_sweeps_of_several_places_and_paths_are_several_series():
    there = {**MACHINE, "processor": "Another"}
    records = [measured(n, [1.0], path="torch") for n in (64, 128)]
    records += [measured(n, [2.0], path="torch", machine=there) for n in (64, 128)]
    records += [measured(64, [3.0], path="native", seed=1)]
    report = Report(records)
    found = report.sweeps["Length"].by_task
    assert [len(each) for each in found.values()] == [2, 1]
    here, _ = found.values()
    assert [each.model for each in here] == ["s4d, native", "s4d, torch"]


def test_each_device_has_a_section_with_tables_and_figures_and_each_precision_a_table(tmp_path):
    card = {**MACHINE, "accelerator": "A card"}
    records = [measured(n, [1.0]) for n in (64, 128)]
    for precision in ("32-true", "bf16-mixed"):
        held = Protocol(precision=precision)
        records += [
            measured(n, [0.1], machine=card, device="cuda", protocol=held) for n in (64, 128)
        ]
    alone, both = Report(records[:2]), Report(records)
    assert list(both.tables()) == ["Protocol", "Length", "Length on A card"]
    assert both.tables()["Length"] == alone.tables()["Length"]
    titles = [table.title for table in both.tables()["Length on A card"]]
    assert titles[:2] == [
        "scaling/forward (precision=32-true, device=cuda)",
        "scaling/forward (precision=bf16-mixed, device=cuda)",
    ]
    assert card["accelerator"] in records[-1].place
    names = {path.name for path in write(records, tmp_path)}
    assert {"time.svg", "time-on-a-card.svg", "memory-on-a-card.png"} <= names


def rows(table):
    return [[text.text for text in row] for row in table.rows]


def test_shortcuts_stand_beside_chance():
    record = scored(0.4, chance=0.17)
    ways = {"root operator": 0.373, "top level": 0.597}
    record = again(record, learned=msgspec.structs.replace(record.learned, shortcuts=ways))

    [row] = rows(tables.score_table(comparable_groups([record])))

    assert row[2] == "0.170, root operator 0.373, top level 0.597"


def test_the_best_shortcut_stands_beside_chance_in_the_csv_and_in_the_figure():
    record, older = scored(0.4, chance=0.17), scored(0.4, chance=0.17, seed=1)
    ways = {"root operator": 0.373, "top level": 0.597}
    record = again(record, learned=msgspec.structs.replace(record.learned, shortcuts=ways))
    groups = comparable_groups([record, older])

    [found] = csv.DictReader(io.StringIO(formats.scores_csv(groups)))
    assert (found["shortcut"], found["shortcut_score"]) == ("top level", "0.597")
    [without] = csv.DictReader(io.StringIO(formats.scores_csv(comparable_groups([older]))))
    assert (without["shortcut"], without["shortcut_score"]) == ("", "")

    look = canvas.looks([record.model])
    marked = figures.score_picture(groups, look)
    plain = figures.score_picture(
        comparable_groups([again(record, learned=older.learned), older]), look
    )
    assert marked.svg != plain.svg


def test_a_cell_says_score_interval_seeds_and_losses():
    records = [
        scored(0.5, seed=0),
        scored(0.7, seed=1),
        lost("synthetic/shift", "s4d", "killed", "Signal 9.", 2),
        lost("synthetic/shift", "lstm", "out-of-memory", "It needed 9 GiB."),
        scored(0.3, model="dlr"),
        scored(0.2, task="images/smnist", model="dlr"),
    ]
    table = tables.score_table(comparable_groups(records))
    assert table.columns == ("Task", "Metric", "Chance", "dlr", "lstm", "s4d")
    assert rows(table) == [
        ["images/smnist", "accuracy", "0.100", "0.200 ± 0.020 (n=1)", units.DASH, units.DASH],
        [
            "synthetic/shift",
            "accuracy",
            "0.100",
            "0.300 ± 0.020 (n=1)",
            "out-of-memory: It needed 9 GiB.",
            "0.600 ± 1.271 (n=2, 1 lost)",
        ],
    ]
    assert [text.missing for text in table.rows[1]] == [False] * 4 + [True, False]


@pytest.mark.parametrize(
    ("values", "lower", "best"),
    [
        ({"a": 0.9, "b": 0.8, "c": 0.5}, False, "a"),
        ({"a": 0.9, "b": 0.87, "c": 0.5}, False, ""),
        ({"a": 0.9, "b": 0.8, "c": 0.5}, True, "c"),
        ({"a": 0.9}, False, ""),
    ],
)
def test_the_best_is_marked_only_if_intervals_are_apart(values, lower, best):
    found = cells(seeded(values, lower=lower, chance=float(lower)))
    assert tables.best_model(found) == best


@pytest.mark.parametrize(
    "records",
    [
        [scored(0.9, seed=seed) for seed in range(3)],
        [scored(0.9), scored(0.1, model="lstm")],
        [
            *[scored(0.9 + seed / 1000, seed=seed) for seed in range(3)],
            *[
                scored(0.1 + seed / 1000, seed=seed, model="chance", parameters=0)
                for seed in (0, 1, 2)
            ],
        ],
    ],
    ids=["no other", "one seed", "only chance beside it"],
)
def test_nothing_is_the_best_without_an_opponent_and_three_seeds(records):
    assert tables.best_model(cells(records)) == ""


def test_a_length_that_was_not_run_shows_its_prediction():
    forecast = {"seconds": 600.0, "bytes": 2.0**34}
    name = "scaling/forward[length=4096]"
    records = [
        measured(1024, [0.5]),
        lost(name, "s4d", "not-run", "Predicted to take 600 s.", prediction=forecast),
        lost(name, "lstm", "timed-out", "It ran longer than 60 s.", prediction=forecast),
    ]
    (group,) = comparable_groups(records)
    assert rows(tables.scaling_table(group.title, series(group))) == [
        ["1,024", "s4d", "500 ms", "2.05 k", "300 MiB", "500 KiB", "4.00 KiB", "1.02 M"],
        ["4,096", "lstm", "timed-out: It ran longer than 60 s.", *[units.DASH] * 5],
        ["4,096", "s4d", "not-run: predicted 10.0 min, 16.0 GiB", *[units.DASH] * 5],
    ]


def test_runs_without_a_result_are_listed_with_all_of_their_reason():
    reason = "A reason of a hundred letters " + "and more " * 20
    records = [lost("a", "b", "failed", reason, seed) for seed in (0, 1)] + [scored(0.5)]
    assert rows(tables.missing_table(records)) == [["a", "b", "failed", "0, 1", reason]]
    (cell,) = tables.score_table(comparable_groups(records)).rows[0][3:4]
    assert len(cell.text) < 110
    assert cell.text.endswith("…")


def test_markdown_keeps_its_columns_whatever_a_reason_holds():
    reason = "a | b\n*c* <script>"
    table = tables.missing_table([lost("a", "b[c=1]", "failed", reason)])
    lines = formats.markdown(table).splitlines()[2:5]
    assert [line.replace(r"\|", "").count("|") for line in lines] == [6, 6, 6]
    assert r"a \| b \*c\* \<script\>" in lines[2]


def test_markdown_sets_the_best_in_bold_and_the_missing_apart():
    records = [
        *seeded({"s4d": 0.9, "lstm": 0.5}),
        lost("synthetic/shift", "dlr", "killed", "Signal 9."),
    ]
    text = formats.markdown(tables.score_table(comparable_groups(records)))
    assert "| *killed: Signal 9.* | 0.500 ± 0.025 (n=3) | **0.900 ± 0.025 (n=3)** |" in text


def printed(show):
    console = Console(width=200, file=io.StringIO(), color_system=None)
    show(console)
    return console.file.getvalue()


def test_the_terminal_shows_names_with_brackets_as_they_are():
    records = [scored(0.9, model="s4d[state=32]"), scored(0.5, model="lstm")]
    text = printed(lambda console: print_tables(records, console))
    assert "s4d[state=32]" in text
    assert "0.900 ± 0.020 (n=1)" in text
    both = compare([records[1]], [records[0]])
    text = printed(lambda console: print_comparison(both, ("lstm", "s4d[state=32]"), console))
    assert "s4d[state=32] against lstm" in text
    assert "0.400 ± 0.028" in text
    assert "One seed proves nothing" in " ".join(text.split())


def test_every_form_of_a_table_has_the_same_cells():
    for found in Report(sweep()).tables().values():
        for table in found:
            terminal = printed(lambda console, t=table: console.print(formats.for_terminal(t)))
            written = formats.markdown(table).replace("\\", "")
            for row in table.rows:
                for text in row:
                    first = text.text.split(" ")[0]
                    assert first in terminal
                    assert " ".join(text.text.split()) in written


def test_csv_holds_the_cells_unrounded():
    records = [scored(1 / 3, seed=0), scored(2 / 3, seed=1), measured(1024, [1 / 3])]
    groups = comparable_groups(records)
    (row,) = csv.DictReader(io.StringIO(formats.scores_csv(groups)))
    assert float(row["mean"]) == 0.5
    assert [float(score) for score in row["scores"].split()] == [1 / 3, 2 / 3]
    assert row["interval_over"] == "seeds"
    (sweep_,) = (series(group) for group in groups if group.sweep)
    (row,) = csv.DictReader(io.StringIO(formats.scaling_csv(sweep_)))
    assert (row["task"], row["length"]) == ("scaling/forward", "1024")
    assert float(row["call_s_median"]) == 1 / 3
