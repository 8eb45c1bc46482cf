"""Any locale, any path and any reader: what was asked for is done, and nothing ends in a crash."""

import os
import subprocess
import sys

import pytest

from harness.cli.progress import show_sweep
from harness.core.messages import Plan
from harness.results.store import Store
from harness.runner.sweep import Sweep
from tests.unit.report.made_records import scored

COMMAND = [sys.executable, "-m", "harness.cli"]
ASCII_LOCALE = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


@pytest.fixture
def results(tmp_path):
    for seed in range(2):
        Store(tmp_path / "results").append(scored(seed=seed))
    return tmp_path / "results"


def ssm_bench(*words, **environment):
    """Run the command line in a process with some variables of its own."""
    return subprocess.run(
        [*COMMAND, *words],
        capture_output=True,
        env={**os.environ, "COLUMNS": "160", **environment},
        check=False,
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "euc_jp"])
def test_what_an_encoding_lacks_is_replaced_on_the_way_out_and_whole_in_files(results, encoding):
    done = ssm_bench("report", "--results", str(results), PYTHONIOENCODING=encoding)

    assert (done.returncode, done.stderr) == (0, b"")
    assert b"0.900" in done.stdout
    for name in ("report.md", "report.html"):
        assert "0.900 ± " in (results / "report" / name).read_text(encoding="utf-8")


def test_json_is_utf_8_whatever_the_encoding(tmp_path):
    plugin = tmp_path / "slope.py"
    plugin.write_text('"""Köpke."""\nclass Slope(Model):\n    pass\n', encoding="utf-8")

    words = ("list", "models", "--json", "--plugin", str(plugin))
    done = ssm_bench(*words, PYTHONIOENCODING="latin-1")

    assert "Köpke." in done.stdout.decode("utf-8")


def test_a_reader_that_goes_away_is_no_error_and_the_files_are_there(results):
    words = [*COMMAND, "report", "--results", str(results)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as report:
        report.stdout.close()
        said = report.stderr.read()
        code = report.wait()

    assert (code, said) == (141, b"")
    assert (results / "report" / "report.html").is_file()


@pytest.mark.parametrize("folder", ["out[/x]", "out[red]"])
def test_a_results_path_is_never_read_as_markup(tmp_path, capsys, folder):
    show_sweep(Sweep(runs=(), results=str(tmp_path / folder)), Plan(), json=False)

    assert f"{folder} (" in capsys.readouterr().out


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_sources_are_utf_8_with_or_without_a_mark_in_any_locale(tmp_path, mark):
    plugin = tmp_path / "slope.py"
    source = '"""Slope: Köpke\'s mixer."""\nclass Slope(Model):\n    reference = "x"\n'
    plugin.write_text(mark + source, encoding="utf-8")

    done = ssm_bench("list", "models", "--plugin", str(plugin), **ASCII_LOCALE)

    assert "Slope: Köpke's mixer." in done.stdout.decode("utf-8")


def test_an_odd_line_is_named_by_every_verb_that_reads_and_the_rest_is_shown(results):
    (results / "notes.jsonl").write_text("<b>odd</b>\n", encoding="utf-8")
    sides = ("compare", "s4d", "s4d", "--results", str(results))
    verify = ("store", "verify", "--results", str(results))

    report, comparison, verdict = (
        ssm_bench(*words) for words in (("report", "--results", str(results)), sides, verify)
    )

    assert [done.returncode for done in (report, comparison, verdict)] == [1, 1, 1]
    for said in (report.stderr, comparison.stderr, verdict.stdout):
        assert b"notes.jsonl, line 1: not a record" in said
    assert b"0.900" in report.stdout
    assert "Left out: " in (results / "report" / "report.html").read_text(encoding="utf-8")
    assert ssm_bench("store", "repair", "--results", str(results)).returncode == 0
    assert (results / "notes.jsonl.damaged").read_bytes() == b"<b>odd</b>\n"
    assert ssm_bench(*sides).returncode == 0
