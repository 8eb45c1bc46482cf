"""The comparison with peers: its textbook layers are ours, and every ratio has both its sides."""

import csv
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.core.seeding import scope, stream
from harness.measure import machine
from harness.plugins.loading import load_model
from tools.peers import parent, sides, tables
from tools.peers.ask import Answer, Ask, Bounds
from tools.peers.figures import pictures
from tools.peers.store import Store, Stored
from tools.peers.textbook import CauchyS4, TextbookS4D

ROOT = Path(__file__).parents[2]
MACHINE = {
    "processor": "p", "cores": 2, "commit": "c", "dirty": False, "load": 0.0, "measured": "t",
    "packages": {"torch": "2"}, "peers": {"mambapy": "1"},
}  # fmt: skip
TRAITS = {
    "s4d": {"layer": True, "steps": True, "bounded": True},
    "transformer": {"layer": True, "steps": True, "bounded": False},
    "kernel-only": {"layer": True, "steps": False, "bounded": True},
    "chance": {"layer": False, "steps": False, "bounded": False},
}


@given(length=st.integers(2, 40), name=st.sampled_from(["s4d", "s4"]))
def test_a_textbook_layer_gives_what_ours_gives_and_passes_the_same_gradient(length, name):
    with scope("test", "init"):
        layer = load_model(f"{name}[state=4]").build(width=3, length=length, causal=True).double()
    peer = TextbookS4D(layer) if name == "s4d" else CauchyS4(layer, length)
    u = torch.randn(2, length, 3, generator=stream("test"), dtype=torch.float64, requires_grad=True)
    ours, theirs = layer(u), peer(u)

    torch.testing.assert_close(theirs, ours)
    slope = torch.randn(ours.shape, generator=stream("slope"), dtype=torch.float64)
    torch.testing.assert_close(*(torch.autograd.grad(y, u, slope)[0] for y in (theirs, ours)))


@pytest.mark.filterwarnings("ignore")  # other people's packages
@pytest.mark.parametrize(
    ("pair", "call"),
    [(pair, call) for pair in tables.PAIRS for call in pair.calls],
    ids=lambda value: getattr(value, "name", value),
)
def test_both_sides_of_a_row_run(pair, call):
    if pair.package and not machine.installed(pair.package):
        pytest.skip(f"{pair.package} is not installed")
    ask = Ask(mode="time", sides=pair.sides, call=call, length=8, width=16)
    for side in pair.sides:
        work = sides.built(side, ask)
        work.call()
        work.call()


def test_the_bare_products_are_those_of_every_matrix_of_the_block():
    block = sides.block_of("lstm", 8, 16)

    shapes = sorted(tuple(matrix.shape) for matrix in sides.matrices(block))

    assert shapes == [(8, 8), (32, 8), (32, 8)]


def test_steps_go_on_behind_their_context():
    ask = Ask(mode="time", sides=("step:lstm",), call="step", length=4, width=8, steps=2)
    work = sides.built("step:lstm", ask)
    mixer, seen = sides.block_of("lstm", 8, 4).mixer, []
    mixer.step, step = lambda u, state: seen.append(state) or step(u, state), mixer.step
    work.call()
    work.call()

    assert len(seen) == 4
    context = torch.randn(1, 4, 8, generator=stream("peers", "inputs"))
    with torch.no_grad():
        torch.testing.assert_close(seen[0], mixer.prefill(context))
    assert not torch.equal(seen[0][0], seen[1][0])


@pytest.mark.parametrize(
    ("name", "layer", "bounded"),
    [("lstm", True, True), ("transformer", True, False), ("chance", False, False)],
)
def test_a_model_says_itself_what_it_can(name, layer, bounded):
    assert sides.traits(name) == {"layer": layer, "steps": layer, "bounded": bounded}


def test_the_rows_follow_from_what_models_say():
    rows = tables.all_rows(TRAITS, quick=False)

    assert [row.name for row in rows["long"]] == ["s4d", "kernel-only"]
    assert [row.name for row in rows["steps"]] == ["s4d", "transformer"]
    assert {row.lengths for row in rows["long"]} == {(65_536, 262_144)}
    assert {(row.width, row.lengths) for row in rows["steps"]} == {(1024, (1024, 65_536))}


def answers(reason=""):
    """Answer every ask: the first side takes a second and 1 kB, the second five and 20 kB."""

    def find(ask):
        if reason and ask.sides[-1].startswith("peer"):
            return Stored(ask, Answer(reason=reason), MACHINE)
        ours = ask.sides[0].startswith(("layer", "step"))
        seconds = dict(zip(ask.sides, ([1.0] * 3, [5.0] * 3), strict=False))
        bytes_ = 1000 if ours else 20_000
        answer = Answer(seconds=seconds, peak_bytes=bytes_, delta_bytes=bytes_, path="split")
        return Stored(ask, answer, MACHINE)

    return find


def test_a_row_holds_both_sides_their_ratio_and_the_wanted_one():
    forward, train = tables.PAIRS[2].lines(answers())

    assert (train["ours_s"], train["peer_s"], train["times_faster"]) == (1.0, 5.0, 5.0)
    assert (train["times_lighter"], train["wanted_faster"], train["wanted_lighter"]) == (20, 15, 5)
    assert forward["wanted_faster"] is None
    assert train["peer"] == "mambapy 1"
    assert tables.pair_cells(train)[-2:] == ["5.00x (>= 15, MISSED)", "20.0x (>= 5)"]


def test_a_peer_that_fails_leaves_our_figures_and_its_reason():
    _, train = tables.PAIRS[2].lines(answers("It took more than 9 s."))

    assert (train["ours_s"], train["peer_s"], train["times_faster"]) == (1.0, None, None)
    assert (train["ours_bytes"], train["peer_bytes"]) == (1000, None)
    assert train["reason"] == "It took more than 9 s."
    assert "more than 9 s" in tables.pair_cells(train)[4]


def test_a_row_that_was_not_measured_says_so():
    for several in tables.all_rows(TRAITS, quick=False).values():
        for line in (line for row in several for line in row.lines(lambda _: None)):
            assert line["reason"] == "It was not measured."


@pytest.mark.parametrize("table", tables.COLUMNS)
def test_every_column_of_a_table_is_filled_and_every_value_has_a_column(table):
    rows = tables.all_rows(TRAITS, quick=False)[table]
    lines = [line for row in rows for line in row.lines(answers())]

    read = list(csv.DictReader(tables.as_csv(table, lines).splitlines()))

    given = set().union(*lines)
    assert given | set(tables.CEILINGS) == set(tables.COLUMNS[table]) | set(tables.CEILINGS)
    assert len(read) == len(lines) > 0


@pytest.mark.parametrize("table", tables.COLUMNS)
def test_a_row_that_was_not_measured_keeps_what_a_table_says_of_it(table, tmp_path):
    rows = tables.all_rows(TRAITS, quick=False)[table]
    measured = [line for row in rows for line in row.lines(answers())]
    unmeasured = [line for row in rows for line in row.lines(lambda _: None)]
    path = tmp_path / "table.csv"
    path.write_text(tables.as_csv(table, measured[1:]), encoding="utf-8")

    kept = tables.with_earlier(table, unmeasured, path)

    assert kept[0]["reason"] == "It was not measured."
    assert tables.as_csv(table, kept[1:]) == tables.as_csv(table, measured[1:])
    assert [p.name for p in pictures({table: kept})] == [table]
    assert tables.with_earlier(table, measured, path) == measured


def test_what_must_not_grow_is_told_where_it_grows():
    row = tables.all_rows(TRAITS, quick=False)["long"][0]
    *_, far = row.lines(answers())

    assert far["times_longer"] == 1.0
    cells = tables.long_cells({**far, "times_longer": 5.5, "peak_bytes": 5 * 2**30})
    assert cells[-2:] == ["5.00 GiB (too much)", "5.50x (<= 5, MISSED)"]


def test_a_steps_time_is_that_of_one_of_those_that_were_timed_together():
    (row, _) = tables.all_rows(TRAITS, quick=False)["steps"]
    line, _ = row.lines(answers())
    assert (line["step_s"], line["products_s"]) == (1 / 256, 5 / 256)


def test_a_step_may_grow_only_where_the_state_does():
    ssm, attention = tables.all_rows(TRAITS, quick=False)["steps"]

    assert [line["wanted_longer"] for line in ssm.lines(answers())] == [None, 1.25]
    assert [line["wanted_products"] for line in ssm.lines(answers())] == [2.0, 2.0]
    assert [line["wanted_longer"] for line in attention.lines(answers())] == [None, None]
    assert [line["wanted_products"] for line in attention.lines(answers())] == [2.0, None]


def test_every_table_has_a_figure_and_nothing_has_none():
    rows = tables.all_rows(TRAITS, quick=False)
    known = {
        table: [line for row in several for line in row.lines(answers())]
        for table, several in rows.items()
    }
    unknown = {
        table: [line for row in several for line in row.lines(lambda _: None)]
        for table, several in rows.items()
    }

    assert [picture.name for picture in pictures(known)] == ["peers", "long", "steps"]
    assert list(pictures(unknown)) == []
    assert list(pictures({table: [] for table in rows})) == []


def test_only_an_answer_of_the_same_clean_commit_is_used_again(tmp_path, monkeypatch):
    facts = {"commit": "c", "dirty": False, "packages": {}}
    monkeypatch.setattr(machine, "facts", lambda: facts)
    ask = Ask(mode="time", sides=("layer:s4d",), call="train", length=8)
    store = Store(tmp_path / "kept.jsonl")
    store.add(ask, Answer(reason="It failed."))
    assert not store.answers[ask].settled()
    store.add(ask, Answer(seconds={"layer:s4d": [1.0]}))

    again = Store(store.path).answers[ask]

    assert again == store.answers[ask]
    assert again.settled()
    assert not replace(again, machine={**again.machine, "dirty": True}).settled()
    facts["commit"] = "d"
    assert not again.settled()


@pytest.mark.parametrize(
    ("ask", "bounds", "said"),
    [
        (
            Ask(mode="time", sides=("peer:exp",), call="forward", length=8),
            {"timeout_s": 0.05},
            "0.05",
        ),
        (
            Ask(mode="time", sides=("peer:exp",), call="forward", length=2**22),
            {"memory_bytes": 2**30},
            "alloc",
        ),
        (Ask(mode="time", sides=("layer:s4q",), call="forward", length=8), {}, "Did you mean 's4'"),
    ],
    ids=["time", "memory", "error"],
)
def test_what_ends_a_side_is_told_in_words(ask, bounds, said):
    answer = parent.asked(ask, Bounds(**bounds))

    assert said in answer.reason
    assert not answer.seconds


def peers(*words):
    """Run the command from the repository."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.peers", "--quick", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_one_command_writes_tables_and_figures_and_prints_the_ratios(tmp_path):
    done = peers(
        "--only", "peers/selective-scan", "--budget", 1, "--out", tmp_path, "--kept", tmp_path / "k"
    )

    assert done.returncode == 0, done.stderr
    rows = {
        row["row"]: row for row in csv.DictReader((tmp_path / "peers.csv").read_text().splitlines())
    }
    scan = rows["selective-scan"]
    assert float(scan["times_faster"]) == float(scan["peer_s"]) / float(scan["ours_s"])
    assert scan["times_lighter"] == ""
    assert scan["reason"] == "exp writes into memory that it was given."
    assert float(scan["exp_per_s"]) > 0 < float(scan["copy_bytes_per_s"])
    assert scan["torch"] == machine.installed("torch")
    assert rows["s4"]["reason"] == "It was not measured."
    assert ">= 1" in done.stdout
    assert "limit: " in done.stdout
    assert (tmp_path / "figures" / "peers.svg").read_text().count("<svg") == 1
    assert {path.name for path in tmp_path.glob("*.csv")} == {"peers.csv"}


def test_a_row_that_nobody_has_is_a_mistake(tmp_path):
    done = peers("--only", "peers/s4q", "--out", tmp_path)

    assert done.returncode == 2
    assert "peers/s4d" in done.stderr
    assert not list(tmp_path.iterdir())


def test_asv_finds_nothing_to_import_here():
    code = (
        "import sys, benchmarks.peers\nassert not {'torch', 'tools', 'rich'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_every_peer_is_pinned():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    pinned = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().split()}

    assert {text.partition(">=")[0] for text in extras["peers"]} <= pinned
