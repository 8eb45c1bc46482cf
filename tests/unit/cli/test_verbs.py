"""What verbs print where nothing is wrong, and their exit codes; none starts a child here."""

import json
import sys
import webbrowser
from dataclasses import replace
from http.server import ThreadingHTTPServer

import pytest

from harness import cli
from harness.cli import doctor
from harness.cli.doctor import Finding
from harness.cli.progress import show_sweep
from harness.core.messages import Plan
from harness.plugins import check_all
from harness.plugins.check_all import Verdict
from harness.results.store import Store
from harness.runner.sweep import Sweep, Update
from tests.unit.report.made_records import MACHINE, measured, planned, scored


@pytest.fixture
def verb(monkeypatch, capsys):
    """Run a verb in this process; returns its exit code and what it printed."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["ssm-bench", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr().out

    return run


def stored(folder, *records):
    for record in records:
        Store(folder).append(record)
    return folder


@pytest.fixture
def two_models(tmp_path):
    """Store three seeds of a good model and of a bad one."""
    models = {"s4d": 0.9, "lstm": 0.5}
    return stored(
        tmp_path / "records",
        *(
            scored(score + seed / 1000, model=model, seed=seed)
            for model, score in models.items()
            for seed in range(3)
        ),
    )


def test_cite_prints_bibtex(verb):
    code, out = verb("cite", "s4d")

    assert code == 0
    assert out.startswith("@")


def test_new_writes_a_package_and_says_how_to_go_on(verb, tmp_path):
    code, out = verb("new", "task", "coin-toss", "--folder", tmp_path)

    assert code == 0
    assert out == (
        f"Wrote {tmp_path}/coin-toss. "
        f"Next: pip install --editable {tmp_path}/coin-toss && ssm-bench check coin-toss\n"
    )
    assert (tmp_path / "coin-toss" / "coin_toss.py").is_file()


def test_report_prints_its_tables_and_names_what_it_wrote(verb, two_models, tmp_path):
    code, out = verb("report", "--results", two_models, "--out", tmp_path / "report")

    assert code == 0
    assert "synthetic/shift" in out
    written = [line.removeprefix("wrote ") for line in out.splitlines() if "wrote " in line]
    assert {path.rpartition("/")[2] for path in written} == {"report.md", "report.html"}


def test_report_checks_that_its_files_are_what_the_records_give(verb, two_models, tmp_path):
    asked = ("report", "--results", two_models, "--out", tmp_path / "out", "--format", "md,csv")
    verb(*asked)
    kept = verb(*asked, "--check")
    (tmp_path / "out" / "scores.csv").write_text("changed")
    changed = verb(*asked, "--check")

    assert kept == (0, f"{tmp_path / 'out'} is what its records give.\n")
    assert changed == (1, f"{tmp_path / 'out' / 'scores.csv'} is not what its records give.\n")
    assert (tmp_path / "out" / "scores.csv").read_text() == "changed"


def test_report_writes_the_formats_that_are_asked_for_and_opens_the_page(
    verb, two_models, tmp_path, monkeypatch
):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    out = tmp_path / "report"
    code, said = verb(
        "report", "--results", two_models, "--out", out, "--format", "latex", "--open"
    )
    assert code == 0
    assert {path.name for path in out.iterdir()} == {"report.tex", "report.html"}
    assert "report.tex" in said
    assert opened == [(out / "report.html").as_uri()]
    assert verb("report", "--results", two_models, "--out", out, "--format", "docx")[0] == 2


def test_view_says_where_it_serves_the_page_and_ends_with_ctrl_c(verb, two_models, monkeypatch):
    def stopped(server):
        raise KeyboardInterrupt

    monkeypatch.setattr(ThreadingHTTPServer, "serve_forever", stopped)
    code, out = verb("view", "--results", two_models)
    assert code == 130
    assert out.startswith("http://127.0.0.1:")


def test_compare_exits_with_1_if_the_second_is_worse_and_with_0_if_it_is_not(verb, two_models):
    worse, told = verb("compare", "s4d", "lstm", "--results", two_models)
    better, at_ease = verb("compare", "lstm", "s4d", "--results", two_models)

    assert (worse, better) == (1, 0)
    assert "lstm against s4d" in told
    assert at_ease.endswith("Nothing is worse beyond score:-5%,time:+5%,memory:+5% and noise.\n")


def test_compare_exits_with_2_if_nothing_could_be_judged_and_says_why(verb, tmp_path):
    folder = stored(tmp_path, scored(0.9, seed=0), scored(0.9, model="lstm", seed=1))

    code, told = verb("compare", "s4d", "lstm", "--results", folder)

    assert code == 2
    assert "Nothing could be judged. No run of A and B is common" in told


def test_a_limit_that_is_not_exceeded_is_no_failure(verb, two_models):
    code, told = verb("compare", "s4d", "lstm", "--results", two_models, "--fail-on", "score:-99")

    assert code == 0
    assert told.endswith("Nothing is worse beyond score:-99 and noise.\n")


def test_compare_as_json_is_for_scripts(verb, two_models):
    code, out = verb("compare", "s4d", "lstm", "--results", two_models, "--json")

    told = json.loads(out)
    assert code == 1
    assert len(told["comparison"]["changes"]) == len(told["verdict"]["failed"]) == 1


def test_publish_counts_what_it_adds_and_draws_the_tables(verb, tmp_path):
    records = stored(tmp_path / "local", scored(machine={**MACHINE, "dirty": False}))
    to = tmp_path / "results" / "records" / "v1"

    first = verb("publish", "--results", records, "--to", to)
    again = verb("publish", "--results", records, "--to", to, "--no-tables")

    tables = tmp_path / "results" / "tables" / "v1"
    assert first[0] == again[0] == 0
    assert first[1].startswith(f"Added 1 records to {to}; 0 were there")
    assert first[1].endswith(f"Tables and figures: {tables}\n")
    assert again[1].startswith(f"Added 0 records to {to}; 1 were there")
    assert any(tables.iterdir())


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("missing", 0), ("wrong", 1)])
def test_the_doctor_exits_with_1_if_something_is_wrong(verb, monkeypatch, status, code):
    found = Finding(status, "instrument", "memory within 1 %")
    monkeypatch.setattr(doctor, "findings", lambda plugins: iter([found]))

    as_text, as_json = verb("doctor"), verb("doctor", "--json")

    assert as_text[0] == as_json[0] == code
    assert as_text[1].split(maxsplit=1)[0].lower() == status
    assert as_text[1].endswith("memory within 1 %\n")
    assert json.loads(as_json[1])["status"] == status


def test_check_all_shows_every_verdict_and_exits_with_1_after_a_complaint(verb, monkeypatch):
    counts = {"passed": 3, "failed": 0, "not-checked": 0, "not-applicable": 1}
    good = Verdict("model", "s4d", counts, [], 1.0)
    bad = replace(good, name="s5d", complaints=["adds-up: It does not."])
    monkeypatch.setattr(check_all, "check_all", lambda plugins, device: iter([good, bad]))

    code, out = verb("check", "--all")
    as_json = verb("check", "--all", "--json")
    monkeypatch.setattr(check_all, "check_all", lambda plugins, device: iter([good]))

    assert code == as_json[0] == 1
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["kind", "name"],
        ["model", "s4d"],
        ["model", "s5d"],
        ["adds-up:", "It"],
    ]
    assert [json.loads(line)["name"] for line in as_json[1].splitlines()] == ["s4d", "s5d"]
    assert verb("check", "--all")[0] == 0


def test_ctrl_c_ends_a_verb_with_130_and_no_traceback(verb, monkeypatch):
    def interrupted(models, plugins):
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.plugins.cite.cite", interrupted)

    assert verb("cite", "s4d") == (130, "")


def test_a_sweep_shows_what_a_call_takes_and_what_was_left_out(monkeypatch, capsys):
    run, record = planned("scaling/forward"), measured(1024, [0.002, 0.003, 0.004])

    def perform(sweep, runs, observer):
        observer(Update(1, 1, run))
        observer(Update(1, 1, run, record=record))
        yield record

    monkeypatch.setattr("harness.cli.progress.perform", perform)
    sweep, plan = Sweep(runs=(), results="here"), Plan(runs=[run], problems=["x is broken."])

    code = show_sweep(sweep, plan, json=False)

    told = capsys.readouterr()
    assert code == 1
    assert told.err == "Left out: x is broken.\n"
    assert "seed 0  3 ms a call, 0.5 MiB" in told.out
    assert told.out.endswith("1 runs: 1 ok. Records: here\n")


def test_published_prints_the_figures_of_a_task_with_their_sources(verb):
    code, out = verb("published", "mad/fuzzy-recall", "-m", "DeltaNet")

    assert code == 0
    assert out.startswith("mad/fuzzy-recall: macro accuracy, percent\n")
    places = [out.index(source) for source in ("vonoswald2025", "jbara2025", "yang2024")]
    assert places == sorted(places)


def test_published_sets_stored_results_beside_them(verb, tmp_path):
    records = stored(tmp_path, scored(0.5, task="images/scifar", model="lru"))

    code, out = verb("published", "images/scifar", "-m", "lru", "--results", records)
    as_json = verb("published", "images/scifar", "-m", "lru", "--results", records, "--json")

    assert code == as_json[0] == 0
    assert "Measured and published" in out
    lines = [json.loads(line) for line in as_json[1].splitlines()]
    assert [line["verdict"] for line in lines if "verdict" in line].count("below") == 1
    assert {line["source"] for line in lines} == {"orvieto2023lru", "solozabal2025dfout"}


@pytest.mark.parametrize("words", [("lra/txt",), ("images/scifar", "-m", "hawk")])
def test_published_exits_with_2_where_it_has_nothing(verb, words):
    assert verb("published", *words) == (2, "")
