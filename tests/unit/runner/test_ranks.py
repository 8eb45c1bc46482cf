"""Two processes train as one does with twice the batch, and one that dies ends the run."""

import os
import signal
import threading

import psutil
import pytest

from harness import run

TASK = "synthetic/shift[length=16,shifts=2]"
TINY = {"steps": 12, "width": 8, "depth": 1, "evaluations": 2}


def trained(folder, model="gru", checkpoint_s=0.0, **changes):
    [record] = run(
        TASK, model, protocol=TINY | changes, results=str(folder), checkpoint_s=checkpoint_s
    )
    return record


@pytest.mark.slow
def test_two_processes_have_the_curve_of_one_with_twice_the_batch(tmp_path):
    whole, shared = trained(tmp_path, batch=8), trained(tmp_path, batch=4, devices=2)

    assert (whole.outcome, shared.outcome) == ("ok", "ok"), shared.reason
    for (step, loss), (other, shared_loss) in zip(
        whole.learned.curve, shared.learned.curve, strict=True
    ):
        assert step == other
        assert shared_loss == pytest.approx(loss, rel=1e-4)
    assert shared.learned.score == pytest.approx(whole.learned.score, rel=1e-3)
    assert shared.memory.method.endswith(", rank 0 of 2")
    assert shared.run_id != whole.run_id


def ranks():
    """Return the workers below this process, those that others started last."""
    found = psutil.Process().children(recursive=True)
    return [each for each in found if each.cmdline()[-2:] == ["harness.runner.worker", "run"]]


def kill_the_second_rank(folder, over):
    while not over.wait(0.01):
        if any(folder.glob(".checkpoints/*/*/*.pt")):
            os.kill(ranks()[-1].pid, signal.SIGKILL)
            return


@pytest.mark.slow
def test_a_rank_that_dies_ends_the_run_with_its_reason_and_it_goes_on_to_the_bit(tmp_path):
    changes = {"batch": 4, "devices": 2, "steps": 400, "dropout": 0.2}
    whole, folder = trained(tmp_path / "whole", **changes), tmp_path / "parts"
    over = threading.Event()
    killer = threading.Thread(target=kill_the_second_rank, args=(folder, over))
    killer.start()
    ended = trained(folder, checkpoint_s=0.1, **changes)
    over.set()
    killer.join()

    assert (ended.outcome, ended.reason) == ("killed", "Its rank 1 was ended by SIGKILL.")
    assert not ranks()
    again = trained(folder, checkpoint_s=0.1, **changes)
    assert (again.outcome, again.learned.resumed) == ("ok", 1), again.reason
    assert again.learned.curve == whole.learned.curve
    assert again.learned.scores == whole.learned.scores


def test_what_is_measured_is_skipped_on_several_devices(tmp_path):
    [record] = run(
        "scaling/forward[length=64]", "gru", protocol={"devices": 2}, results=str(tmp_path)
    )

    assert record.outcome == "skipped"
    assert "measured on one device" in record.reason
