"""Whoever waits for a run's data sees what is drawn; what is there costs nobody a wait."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import pytest
from msgspec.structs import replace

from harness.cli.progress import SweepDisplay
from harness.cli.terminal import Terminal
from harness.core.config import RunSpec
from harness.core.messages import Planned, Progress
from harness.runner.sweep import Sweep, Update, perform, plan

PLUGIN = str(Path(__file__).parent / "slow_to_draw.py")
HEED = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
"""A shell's background job ignores Ctrl-C, and so would all that it starts."""


@pytest.fixture(autouse=True)
def _own_data(tmp_path, monkeypatch):
    monkeypatch.setenv("SSM_BENCH_DATA", str(tmp_path / "data"))


def command(folder, *words):
    start = [sys.executable, "-c", f"{HEED}from harness.cli import main; main()", "run"]
    return [
        *start,
        "-m",
        "chance",
        "--plugin",
        PLUGIN,
        "--results",
        str(folder / "results"),
        *words,
    ]


def drawn(folder):
    return sorted(path.name for path in folder.glob("data/drawn/*/*.npz"))


def test_a_run_tells_what_it_draws_and_one_that_finds_it_drawn_tells_nothing(tmp_path):
    runs = [RunSpec(task="slow-to-draw", model="chance", seed=seed) for seed in (0, 1)]
    sweep = Sweep(runs=tuple(runs), results=str(tmp_path / "results"), plugins=(PLUGIN,))
    told = {1: [], 2: []}

    def watch(update):
        if update.progress is not None:
            told[update.number].append(update.progress.status)

    outcomes = [record.outcome for record in perform(sweep, plan(sweep).runs, watch)]

    assert outcomes == ["ok", "ok"]
    name = "drawing slow-to-draw:"
    assert told[1][::2] == [
        f"{name} train shard 1 of 1",
        f"{name} validation shard 1 of 1",
        f"{name} test shard 1 of 2",
        f"{name} test shard 2 of 2",
    ]
    assert set(told[1][1::2]) == {""}, "each wait ends"
    assert told[2] == []


def test_a_run_tells_which_splits_it_draws_that_are_not_cached(tmp_path):
    [run] = plan(Sweep(runs=(RunSpec(task="synthetic/cumsum[length=8]", model="chance"),))).runs
    sweep, told = Sweep(runs=(), results=str(tmp_path / "results")), []

    def watch(update):
        if update.progress is not None:
            told.append(update.progress.status)

    [record] = perform(sweep, [run], watch)

    assert record.outcome == "ok"
    name = "drawing synthetic/cumsum:"
    assert told[:6:2] == [f"{name} train", f"{name} validation", f"{name} test"]
    assert set(told[1:6:2]) == {""}, "each wait ends"


def test_what_cannot_be_drawn_is_that_runs_reason_and_the_next_task_goes_on(tmp_path):
    tasks = ("slow-to-draw[fault=break]", "slow-to-draw")
    runs = tuple(RunSpec(task=task, model="chance") for task in tasks)
    sweep = Sweep(runs=runs, results=str(tmp_path / "results"), plugins=(PLUGIN,))

    found = [(record.outcome, record.reason) for record in perform(sweep, plan(sweep).runs)]

    assert found == [("failed", "The pencil is broken; sharpen it."), ("ok", "")]


def test_a_terminal_shows_what_is_drawn(tmp_path):
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160"}
    with subprocess.Popen(
        command(tmp_path, "slow-to-draw[fault=nap]"), stdout=theirs, stderr=theirs, env=environment
    ) as sweep:
        os.close(theirs)
        shown, deadline = b"", time.monotonic() + 120
        try:
            while b"test shard 2 of 2" not in shown and time.monotonic() < deadline:
                shown += os.read(ours, 1 << 16)
        finally:
            sweep.kill()
            os.close(ours)

    assert "drawing slow-to-draw: test shard 2 of 2" in shown.decode()


def test_words_about_a_wait_take_no_room_from_the_bars():
    console = Terminal(file=StringIO(), width=80)
    display, spec = SweepDisplay(console, 8), RunSpec(task="lra/listops", model="s4d")
    planned = Planned(spec=spec, task="lra/listops", model="s4d", task_version=1, learns=True)
    words = "drawing [train] shard 57 of 96, which may take a while, as shards do"

    def shown(progress):
        display(Update(1, 8, planned, progress=progress))
        console.print(display.bars.get_renderable())
        return console.file.getvalue().splitlines()[-3:]

    display(Update(1, 8, planned))
    news = Progress(step=17, steps=600, loss=2.3, status=words)
    [_, bar, line] = shown(news)
    assert line == f"  {words}"
    assert "17/600 loss 2.3" in bar

    [_, _, bar] = shown(replace(news, status=""))
    assert "17/600 loss 2.3" in bar


def test_a_sentence_that_stays_is_written_above_the_bars():
    console = Terminal(file=StringIO(), width=80, force_terminal=True)
    planned = Planned(
        spec=RunSpec(task="lra/text", model="s4d"),
        task="lra/text",
        model="s4d",
        task_version=1,
        learns=True,
    )
    with SweepDisplay(console, 8) as display:
        display(Update(1, 8, planned))
        news = Progress(step=0, steps=600, notice="Nobody publishes a checksum of a.zip.")
        display(Update(1, 8, planned, progress=news))

    written = console.file.getvalue()
    # Rich erases what is below the line that it has written, then draws the bars again.
    before, _, after = written.partition("Nobody publishes a checksum of a.zip.\n")
    assert before.rstrip("\x1b[0m").endswith("\x1b[2K")
    assert "runs" in after


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_without_a_terminal_nothing_but_lines_is_written(tmp_path, words):
    done = subprocess.run(
        command(tmp_path, "slow-to-draw", *words), capture_output=True, text=True, check=True
    )

    assert len(drawn(tmp_path)) == 4
    assert not {"\x1b", "\r"} & {*done.stdout, *done.stderr}
    assert "drawing" not in done.stdout + done.stderr
    if words:
        [record] = map(json.loads, done.stdout.splitlines())
        assert record["outcome"] == "ok"


def test_ctrl_c_keeps_what_was_drawn(tmp_path):
    words = command(tmp_path, "slow-to-draw[fault=nap]")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as sweep:
        deadline = time.monotonic() + 120
        while len(drawn(tmp_path)) < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
        sweep.send_signal(signal.SIGINT)
        sweep.communicate(timeout=60)

    assert sweep.returncode == 130
    assert drawn(tmp_path) == ["test-0000x8.npz", "train-0000x8.npz", "validation-0000x8.npz"]
