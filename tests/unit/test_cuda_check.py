"""The check of a GPU goes through without one, keeps to its time, and says how far it came."""

import math
import os
import signal
import subprocess
import sys
from importlib.metadata import Distribution, entry_points
from pathlib import Path
from typing import get_args

import psutil
import pytest
import torch

from harness.measure.clock import now
from harness.results.store import Store
from tests.unit.report.made_records import measured
from tools.cuda import check, entry, parts, peer, proof, scaling

SCRIPT = Path(check.__file__)


def test_pretended_it_goes_through_on_a_cpu_and_leaves_records_a_table_and_a_figure(tmp_path):
    words = [sys.executable, SCRIPT, "--pretend", "--seconds", "200", "--out", tmp_path]
    done = subprocess.run(words, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    told = (tmp_path / "check.md").read_text()
    assert "Pretended on a CPU" in done.stdout
    assert "2 of 2 layers compared, 0 do not agree." in told
    assert "| s4d | split+fft |" in (tmp_path / "kernels.md").read_text()
    assert "1 models: 0 break the contract, 0 were not finished." in told
    assert [f"models at {n} positions: 4 ok." in told for n in (32, 64)] == [True, True]
    assert told.count("launches") == 2
    records = Store(tmp_path / "records").records()
    found = {(r.model, r.spec.protocol.precision, r.measured.length) for r in records}
    assert len(found) == 8
    assert {precision for _, precision, _ in found} == {"32-true", "bf16-mixed"}
    table = (tmp_path / "report" / "report.md").read_text()
    assert "precision=bf16-mixed" in table
    assert (tmp_path / "report" / "figures" / "time.svg").exists()


def test_a_layer_that_is_far_from_exact_numbers_or_breaks_does_not_agree(capsys):
    assert proof.agrees("| s4d | triton+fft | 3.2e-07 | 9.0e-04 |")
    for wrong in ("| s4d | triton | 3.2e-07 | 1.1e-03 |", "| s4d | triton | inf | 1.0e-07 |"):
        assert not proof.agrees(wrong)
    proof.main("cpu", "no-such-model")
    row = capsys.readouterr().out.splitlines()[2]
    assert row.startswith("| no-such-model | UnknownNameError: ")
    assert not proof.agrees(row)


def test_errors_are_the_largest_of_all_tensors_and_numbers_that_are_none_infinite():
    one, two = torch.ones(4), torch.full((4,), 1.5)
    assert proof.distance([one, two], [one, one]) == 0.5
    assert proof.distance([one * torch.nan, two], [one, one]) == math.inf


@pytest.fixture
def said():
    """Gather what is told, and leave signals as they were."""
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    yield list[str]()
    for each, handler in before.items():
        signal.signal(each, handler)


def named(**given):
    """Give every part, those that are not given without work."""

    def idle(*_):
        yield "done."

    return {name: given.get(name, idle) for name in check.SHARES}


def test_cut_short_it_still_reports_and_says_how_far_it_came(said, monkeypatch):
    # Children of this process are other tests'.
    monkeypatch.setattr(psutil.Process, "children", lambda self, recursive: [])

    def scaling(*_):
        yield "half."
        os.kill(os.getpid(), signal.SIGTERM)
        yield "never said."

    assert check.through(None, named(scaling=scaling), 10, said.append, now) == 1

    assert [line.partition(":")[0] for line in said] == [
        "tests", "kernels", "conformance", "scaling", "scaling", "reported",
    ]  # fmt: skip
    assert said[4].endswith("It was stopped here; later parts were not begun.")
    assert said[5].endswith("done.")


def test_a_part_that_breaks_costs_no_other(said):
    def conformance(*_):
        raise OSError("no such thing")
        yield

    assert check.through(None, named(conformance=conformance), 10, said.append, now) == 1
    assert said[2].endswith("It broke: OSError: no such thing")
    assert len(said) == 6


def test_time_that_one_part_leaves_goes_to_the_next(said):
    left = {}

    def asked(name):
        def part(_, until):
            left[name] = until
            yield "done."

        return part

    check.through(None, {name: asked(name) for name in check.SHARES}, 100, said.append, now)
    first = left["tests"]
    assert left["reported"] - first == pytest.approx(90, abs=1)
    assert left["conformance"] - first < 90 * 0.2 / 0.75 - 5, "the tests took nothing of their 10 s"


def test_where_there_is_no_gpu_it_says_so_and_how_to_go_through_without(tmp_path):
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    words = [sys.executable, SCRIPT, "--out", tmp_path]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)

    assert done.returncode == 2
    assert done.stderr == (
        "There is no CUDA device here that torch can use; --pretend goes through on a CPU.\n"
    )


def test_a_checkout_that_nobody_installed_finds_its_plugins(tmp_path):
    entry.write_entry_points(tmp_path / "ssm_bench-0.dist-info")

    (found,) = Distribution.discover(path=[str(tmp_path)])

    groups = {point.group for point in found.entry_points}
    assert {"ssm_bench.models", "ssm_bench.suites", "ssm_bench.executors"} <= groups
    installed = {(p.name, p.value) for p in entry_points(group="ssm_bench.models")}
    assert {(p.name, p.value) for p in found.entry_points.select(group="ssm_bench.models")} == (
        installed
    )


def test_the_slowest_are_of_one_length_that_most_ran():
    task = "scaling/train"
    records = [
        measured(length, [seconds], task=task, model=model)
        for model, length, seconds in (
            ("s4d", 64, 1.0), ("s4d", 128, 2.0), ("lru", 64, 3.0), ("lru", 128, 5.0),
            ("dss", 64, 9.0), ("s4d", 256, 4.0),
        )
    ]  # fmt: skip

    assert [r.model for r in parts.slowest(records, 4)] == ["lru", "s4d"]
    assert parts.slowest([], 4) == []


def test_a_profile_that_failed_is_told_in_a_sentence():
    assert parts.told("Traceback\nRuntimeError: CUDA") == (
        "no profile (Traceback RuntimeError: CUDA)."
    )


def test_a_peer_that_is_not_installed_is_refused_in_a_sentence(monkeypatch):
    monkeypatch.setattr(peer, "find_spec", lambda _: None)
    with pytest.raises(peer.SpecError, match="mamba-ssm is not installed"):
        peer.Peer(layer="mamba-ssm").build(width=8, length=8, causal=True)
    assert {layer: peer.package(layer) for layer in get_args(peer.Layer)} == scaling.PEERS


def test_our_layer_by_other_kernels_says_where_they_do_not_compute_as_asked(monkeypatch):
    monkeypatch.setattr(peer, "find_spec", lambda _: True)
    layer = peer.Peer(layer="gla-by-fla").build(width=8, length=8, causal=True)
    assert layer.path() == "fla"
    with pytest.raises(peer.UnsupportedError, match="ask for bf16-mixed"):
        layer(torch.zeros(1, 8, 8))
    monkeypatch.setattr(layer.layer, "path", lambda: os.environ["SSM_BENCH_KERNELS"][:3])
    assert layer(torch.zeros(1, 8, 8)).shape == (1, 8, 8)
    assert "SSM_BENCH_KERNELS" not in os.environ
