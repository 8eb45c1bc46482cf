"""Sweeps on a real Ray cluster of two nodes on this machine, one of which dies; and a local one."""

import json
import os
import signal
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from harness.core.config import Limits, RunSpec
from harness.core.errors import SpecError
from harness.core.messages import Job, PlanRequest
from harness.measure import machine
from harness.runner import planner, sweep
from harness.runner.executors import load_executor
from harness.runner.executors import ray as ray_executor
from harness.runner.executors.ray import RayExecutor
from harness.runner.executors.ray_connection import LOOPBACK, QUIET
from harness.runner.executors.ray_pool import ANEW, Needs, RayPool
from tests.unit.report import made_records
from tests.unit.runner import children

os.environ.update({**LOOPBACK, **QUIET})  # Ray reads them once, when it is imported
ray = pytest.importorskip("ray", reason="needs Ray, of the extra `cluster`")
cluster_utils = pytest.importorskip("ray.cluster_utils")
# Ray leaves log files of its own to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

TASK = "synthetic/shift[length=16,shifts=2]"
QUICK = {"steps": 2, "batch": 2, "width": 4, "depth": 1, "evaluations": 1}
FAULTY = str(Path(__file__).parents[2] / "faults" / "faulty.py")


def node(cluster, cpus, **options):
    return cluster.add_node(
        num_cpus=cpus,
        **options,
        object_store_memory=100 << 20,
        include_dashboard=False,
        include_log_monitor=False,
        no_monitor=True,
    )


@pytest.fixture(scope="module")
def cluster():
    made = cluster_utils.Cluster()
    try:
        # So that a node's end is seen in some seconds; the health check itself may take as many.
        node(made, 2, _system_config={"health_check_period_ms": 1000})
        yield made
    finally:
        made.shutdown()


def kill_at_work(node, deadline_s=100):
    """Send a node's raylet kill -9 while a run is in progress on it, and its worker with it."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        for worker in filter(has_a_run, raylet.children()):
            worker.suspend()  # so that no result gets away
            if has_a_run(worker):
                raylet.kill()
                return worker.kill()
            worker.resume()
        time.sleep(0.05)
    raise AssertionError("it was given no run")


def has_a_run(worker):
    """Say whether a worker of Ray's waits for a run."""
    try:
        return any(map(children.does_a_run, worker.children(recursive=True)))
    except psutil.Error:
        return False


@pytest.mark.parametrize("runs", [4, pytest.param(200, marks=pytest.mark.slow)])
def test_a_sweep_has_every_record_once_though_a_node_is_killed(cluster, tmp_path, capfd, runs):
    doomed, notices = node(cluster, 1), []
    asked = sweep.Sweep(
        runs=sweep.requests([TASK], ["faulty", "faulty[fault=kill]"], plugins=(FAULTY,))
        + sweep.requests([TASK], ["chance"], seeds=range(runs - 2)),
        results=str(tmp_path),
        plugins=(FAULTY,),
        executor=f"ray[address={cluster.address}]",
        changes=QUICK,
    )

    def observe(update):
        if update.progress and update.progress.notice:
            notices.append(update.progress.notice)

    planned = sweep.plan(asked).runs
    with ThreadPoolExecutor(1) as thread:
        killed = thread.submit(kill_at_work, doomed)
        records = list(sweep.perform(asked, planned, observe))
        killed.result()
    cluster.remove_node(doomed, allow_graceful=False)

    lines = [line for path in tmp_path.rglob("*.jsonl") for line in path.read_text().splitlines()]
    stored = Counter(json.loads(line)["run_id"] for line in lines)
    assert stored == {each.run_id: 1 for each in records}
    outcomes = {str(record.model): record.outcome for record in records}
    assert len(records) == runs
    assert outcomes == {"faulty": "ok", "faulty[fault=kill]": "killed", "chance": "ok"}
    assert ANEW in notices
    assert all(record.machine["processor"] for record in records)
    assert children.workers() == []
    assert capfd.readouterr() == ("", ""), "Ray has told nobody of it"


def naps(*seeds):
    """Return jobs that nap until they are ended."""
    runs = [RunSpec(task=TASK, model="faulty[fault=nap]", seed=seed) for seed in seeds]
    plan = planner.planned(PlanRequest(runs=runs, plugins=[FAULTY], changes=QUICK))
    return [Job(planned=run, plugins=[FAULTY], limits=Limits()) for run in plan.runs]


def started(deadline_s=60):
    """Wait for a worker, and return it."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if found := children.workers():
            return found
        time.sleep(0.1)
    raise AssertionError("nothing was started")


def test_a_run_that_is_cancelled_or_left_leaves_no_process(cluster):
    first, second, third = naps(0, 1, 2)
    with RayExecutor(address=cluster.address, cpus=2).open() as pool:
        for job in (first, second):
            assert pool.has_room(job)
            pool.submit(job)
        assert not pool.has_room(third), "one waits, and that is enough"
        assert started()
        pool.cancel(first.planned.spec.run_id)

        heard = next(said for said in pool.events() if said[1] is None)
        assert heard == (first.planned.spec.run_id, None)
        assert pool.collect(heard[0]).outcome == "killed"
        assert started()

    assert children.workers() == []
    assert not ray.is_initialized()


def heard_at():
    """Return the addresses at which this process and those below it listen."""
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return {
        connection.laddr.ip
        for each in family
        for connection in each.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


def test_without_an_address_a_cluster_lasts_as_long_as_the_sweep():
    handler = signal.getsignal(signal.SIGTERM)
    with RayExecutor().open() as pool:
        assert [each.cpus for each in pool.nodes] == [machine.cores()]
        address = ray.get_runtime_context().gcs_address
        assert heard_at() <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
        assert signal.getsignal(signal.SIGTERM) == handler

    assert not ray.is_initialized()
    with (
        pytest.raises(SpecError, match="No Ray cluster answers"),
        RayPool(RayExecutor(address=address)),
    ):
        pass


@pytest.mark.slow
def test_a_machine_outside_reaches_a_cluster_through_its_head(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    made = cluster_utils.Cluster()
    try:
        node(made, 1, ray_client_server_port=port)
        asked = sweep.Sweep(
            runs=sweep.requests([TASK], ["faulty"], plugins=(FAULTY,)),
            results=str(tmp_path),
            plugins=(FAULTY,),
            executor=f"ray[address=ray://127.0.0.1:{port}]",
            changes=QUICK,
        )
        [record] = sweep.perform(asked, sweep.plan(asked).runs)
    finally:
        made.shutdown()

    assert record.outcome == "ok"
    assert children.workers() == []


def pool(monkeypatch, *nodes, **options):
    monkeypatch.setattr(RayPool, "nodes", list(nodes))
    return RayPool(RayExecutor(**options))


def test_what_is_measured_reserves_a_whole_node_and_a_training_what_it_was_given(monkeypatch):
    two = pool(monkeypatch, Needs(4, 0, 1 << 40), Needs(8, 1, 1 << 40), cpus=2, memory=3)

    assert two._needs(learns=True) == (2, 0, 3 << 30)
    assert two._needs(learns=False) == (8, 0, 3 << 30)


def test_what_waits_for_a_node_that_is_lost_is_given_another_or_fails(monkeypatch):
    two = pool(monkeypatch, Needs(4, 0, 0), Needs(8, 0, 0))
    cancelled, begun = [], []
    monkeypatch.setattr(RayPool, "_begin", lambda self, *words: begun.append(words) or len(begun))
    two.mailbox = SimpleNamespace(empty=SimpleNamespace(remote=list))
    two.ray = SimpleNamespace(
        wait=lambda refs, **_: ([], refs), get=lambda said: said, cancel=cancelled.append
    )
    job = Job(planned=made_records.planned("scaling/forward"), plugins=[], limits=Limits())
    two.submit(job)

    monkeypatch.setattr(RayPool, "nodes", [Needs(4, 0, 0)])
    run_id, said = next(two.events())
    assert (run_id, said.notice) == (job.planned.spec.run_id, ANEW)
    assert [needs.cpus for _, _, needs in begun] == [8, 4]
    assert cancelled == [1]

    monkeypatch.setattr(RayPool, "nodes", [])
    assert list(two.events()) == [(run_id, None)]
    with pytest.raises(SpecError, match="they have: nothing"):
        two.collect(run_id)


@pytest.mark.parametrize("options", [{"cpus": 5}, {"gpus": 1}, {"memory": 2}])
def test_what_no_node_has_is_told_before_anything_is_run(monkeypatch, options):
    small = pool(monkeypatch, Needs(4, 0, 1 << 30), **options)

    with pytest.raises(SpecError, match="No node of the cluster has the"):
        small._needs(learns=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ray[cpus=0]", "reserves a core or more"),
        ("ray[gpus=-1]", "reserves a core or more"),
        ("ray[cpu=2]", "Did you mean 'cpus'"),
    ],
)
def test_options_that_are_wrong_are_told_in_a_sentence(text, said):
    with pytest.raises(SpecError, match=said):
        load_executor(text)


def test_a_ray_that_is_not_installed_is_told_in_a_sentence(monkeypatch):
    monkeypatch.setattr(ray_executor, "PACKAGE", "no_such_ray")

    with pytest.raises(SpecError, match=r"install ssm-bench\[cluster\]"):
        load_executor("ray")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nowhere:port"])
def test_an_address_at_which_nobody_answers_is_told_at_once(address):
    with pytest.raises(SpecError, match="No Ray cluster answers"):
        RayExecutor(address=address).open().__enter__()


def test_a_cluster_of_another_version_is_told_in_a_sentence(monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 1.0")

    monkeypatch.setattr(ray, "init", refuse)

    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(SpecError, match=f"joined at '{address}': Version mismatch"):
            RayExecutor(address=address).open().__enter__()


def test_a_machine_in_no_cluster_and_one_whose_cluster_is_gone_say_so(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(SpecError, match=r"No Ray cluster answers at '127\.0\.0\.1:1'"):
        RayExecutor(address="auto").open().__enter__()

    def nowhere(*_):
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr("ray._private.services.canonicalize_bootstrap_address", nowhere)
    with pytest.raises(SpecError, match="This machine is in no Ray cluster"):
        RayExecutor(address="auto").open().__enter__()


def test_the_doctor_says_whether_ray_can_be_used():
    assert ray_executor.fact() == (True, f"{ray.__version__}, for --executor ray")
