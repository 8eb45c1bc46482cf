"""What travels to another machine with a job, and what comes back."""

import json
import sys
from pathlib import Path

import psutil
import pytest
from msgspec import structs

from harness.core import codec
from harness.core.config import Limits
from harness.core.errors import SpecError
from harness.core.messages import Job, Progress, Result
from harness.measure import machine
from harness.runner.executors import process, remote
from tests.unit.report.made_records import planned

CHILD = """
import json, os, sys, time
job = json.loads(sys.stdin.read())
said = {"plugins": job["plugins"], "text": [open(path).read() for path in job["plugins"]]}
for step in range(500):
    line = {"type": "Progress", "step": step, "steps": 1000, "status": json.dumps(said)}
    print(job["token"], json.dumps(line), flush=True)
time.sleep(SECONDS)
said = {"type": "Result", "outcome": "ok", "conditions": {"threads": 1}}
print(job["token"], json.dumps(said))
"""


@pytest.fixture
def children(monkeypatch):
    """Let children only say what they were given, and end after a while."""

    def last(seconds):
        code = CHILD.replace("SECONDS", str(seconds))
        monkeypatch.setattr(process, "python", lambda *_: [sys.executable, "-c", code])

    last(0)
    return last


def job(*plugins):
    return Job(planned=planned("synthetic/shift"), plugins=list(plugins), limits=Limits())


def done(parcel, tell=lambda progress: None):
    text = remote.perform(parcel, tell, threads=1, conditions={"jobs": 2})
    return codec.decode(text, Result)


def test_plugin_files_travel_under_their_names_and_nothing_of_them_stays(children, tmp_path):
    files = [tmp_path / folder / "leaky.py" for folder in ("one", "two")]
    for file in files:
        file.parent.mkdir()
        file.write_text(f"# {file.parent.name}")
    parcel = remote.packed(job(*map(str, files)))
    for file in files:
        file.unlink()
    said = []

    assert done(parcel, said.append).outcome == "ok"

    held = json.loads(said[0].status)
    assert held["text"] == ["# one", "# two"]
    assert [path.rpartition("/")[2] for path in held["plugins"]] == ["leaky.py"] * 2
    assert not any(Path(path).exists() for path in held["plugins"])


def test_the_results_folder_is_named_so_that_another_machine_finds_it_where_it_is_shared():
    parcel = codec.decode(remote.packed(structs.replace(job(), results="results/x")), remote.Parcel)

    assert parcel.job.results == str(Path.cwd() / "results" / "x")


def test_a_record_tells_of_the_machine_on_which_the_job_was_done(children):
    found = done(remote.packed(job())).conditions

    assert found["processor"] == machine.facts()["processor"]
    assert {"packages", "ram_bytes", "selftest"} <= found.keys()
    assert (found["jobs"], found["threads"]) == (2, 1)


def test_progress_that_only_counts_comes_once_a_second(children):
    said = []
    done(remote.packed(job()), said.append)

    assert 1 <= len(said) < 10


def test_a_sentence_for_the_person_is_never_held_back():
    said = []
    tell = remote.Seldom(said.append)
    for step in range(3):
        tell(Progress(step=step, steps=9, notice="Look."))

    assert len(said) == 3


def test_another_version_there_is_told_in_a_sentence(monkeypatch):
    parcel = remote.packed(job())
    monkeypatch.setattr(machine, "installed", lambda package: "0.0.9")

    with pytest.raises(SpecError, match=r"has 0\.0\.9; install the same on both"):
        done(parcel)


def test_an_interrupt_leaves_no_child(children, monkeypatch):
    children(60)
    monkeypatch.setattr(remote, "wait", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    before = psutil.Process().children()

    with pytest.raises(KeyboardInterrupt):
        done(remote.packed(job()))

    assert psutil.Process().children() == before


def test_reserved_memory_bounds_a_run_unless_a_tighter_limit_is_asked_for():
    assert remote.bounded(0, Limits()) == Limits()
    assert remote.bounded(2, Limits(timeout_s=9)) == Limits(timeout_s=9, memory_bytes=2 << 30)
    assert remote.bounded(2, Limits(memory_bytes=1 << 30)).memory_bytes == 1 << 30
    assert remote.bounded(2, Limits(memory_bytes=3 << 30)).memory_bytes == 2 << 30


def test_the_doctor_hears_what_is_missing_and_what_cannot_be_imported(monkeypatch):
    assert remote.trial("no_such_package", "cluster") == (
        False,
        "not installed; it comes with ssm-bench[cluster]",
    )
    assert remote.trial("msgspec", "cluster") == (True, machine.installed("msgspec"))

    monkeypatch.setattr(machine, "installed", lambda package: "1.0")
    there, said = remote.trial("no_such_package", "cluster")
    assert not there
    assert said.startswith("cannot be imported: ModuleNotFoundError")
