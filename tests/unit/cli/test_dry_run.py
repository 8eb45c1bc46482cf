"""A dry run runs nothing, and shows what would run and what it would take."""

import json
import subprocess
import sys

from harness.cli import dry_run
from harness.core.messages import Plan, Requirements
from harness.costs.forecast import Forecast
from harness.runner.sweep import Sweep
from tests.unit.report.made_records import planned


def expected(what, **fields):
    run = planned()
    given = {"run_id": "x", "task": run.task, "model": run.model, "seed": 0, "expected": what}
    return Forecast(**given, **fields)


def test_a_dry_run_runs_nothing_and_says_what_it_would(tmp_path):
    words = [
        *("run", "synthetic/shift[length=32]", "-m", "s4d", "-m", "chance", "--dry-run"),
        *("--results", str(tmp_path / "results"), "--protocol", "steps=3"),
    ]
    table, lines = (
        subprocess.run(
            [sys.executable, "-m", "harness.cli", *words, *more],
            capture_output=True,
            text=True,
            check=False,
        )
        for more in ([], ["--json"])
    )

    assert (table.returncode, lines.returncode) == (0, 0), table.stderr
    assert "2 runs, 2 of them to be done" in table.stdout
    *runs, last = map(json.loads, lines.stdout.splitlines())
    assert [run["model"] for run in runs] == ["s4d", "chance"]
    assert last["totals"]["to_run"] == 2
    assert not (tmp_path / "results").exists()


def test_what_cannot_be_built_makes_the_exit_code_1(capsys, tmp_path):
    fits, broken = (
        planned(requirements=Requirements(length=1, refusal=why)) for why in ("", "No [bold].")
    )
    sweep = Sweep(runs=(), results=str(tmp_path))

    assert dry_run.show_dry_run(sweep, Plan(runs=[broken]), json=False) == 1
    assert "No [bold]." in capsys.readouterr().out
    assert dry_run.show_dry_run(sweep, Plan(runs=[fits]), json=False) == 0


def test_totals_are_of_what_is_to_be_done():
    runs = [
        expected("stored", seconds=5.0),
        expected("to run", seconds=1.0, bytes=7.0),
        expected("to run", seconds=2.0, bytes=3.0),
        expected("needs files", files={"a.gz": 5, "b.gz": None}),
    ]

    assert dry_run.totals(runs) == {
        "runs": 4,
        "to_run": 3,
        "unknown": 1,
        "seconds": 3.0,
        "bytes": 7.0,
        "files": 2,
        "fetch_bytes": 5,
        "fetch_unknown": 1,
    }


def test_a_file_of_unknown_size_is_said_to_be_one():
    lines = dry_run.closing([expected("needs files", files={"known": 1 << 20, "unknown": None})])

    assert "2 files to fetch: 1.00 MiB and 1 of unknown size." in lines
    assert lines[0] == "1 runs, 1 of them to be done."
