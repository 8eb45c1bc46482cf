"""What a training tells TensorBoard or MLflow can be read again, and is what its record says."""

import json
import struct
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace

import pytest
from tensorboardX.proto.event_pb2 import Event

from harness import run
from harness.api import SpecError
from harness.cli import runs
from harness.core.notify import redirect
from harness.training.log import Log
from harness.training.mlflow import MlflowLogger

TASK = "synthetic/shift[length=16,shifts=2]"


def told(folder):
    """Read event files: of each name the values by their steps."""
    found = {}
    for path in folder.rglob("events.out.tfevents.*"):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (size,) = struct.unpack_from("<Q", content, at)
            event = Event.FromString(content[at + 12 : at + 12 + size])
            at += size + 16
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def test_loss_validation_rate_and_throughput_are_told(tmp_path):
    protocol = {"steps": 6, "batch": 8, "width": 8, "depth": 1, "evaluations": 2}
    [record] = run(TASK, "gru", protocol=protocol, results=str(tmp_path), log="tensorboard")
    assert record.outcome == "ok", record.reason

    found = told(tmp_path / "logs" / "synthetic" / "shift" / "gru" / record.run_id)

    assert found["loss"] == pytest.approx(dict(record.learned.curve))
    assert found["validation/r2"] == pytest.approx(dict(record.learned.validation))
    rates = list(found["learning_rate/group_0"].values())
    assert rates[0] == max(rates)
    assert min(found["examples_per_second"].values()) > 0
    assert len(found["examples_per_second"]) == 6


class Mlflow(BaseHTTPRequestHandler):
    """Answers as a server of MLflow does, and keeps what it was told."""

    def do_GET(self):
        self.server.asked.append((self.path, None))
        self.answer(404, {"error_code": "RESOURCE_DOES_NOT_EXIST"})

    def do_POST(self):
        verb = self.path.removeprefix("/api/2.0/mlflow/")
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((verb, told))
        answers = {
            "experiments/create": {"experiment_id": "7"},
            "runs/create": {"run": {"info": {"run_id": "f00"}}},
        }
        down = self.server.down and verb == "runs/log-batch"
        self.answer(503 if down else 200, answers.get(verb, {}))

    def answer(self, code, value):
        content = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Mlflow) as found:
        found.asked, found.down = [], False
        found.address = f"http://127.0.0.1:{found.server_port}"
        thread = Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def test_mlflow_is_told_the_same(server, tmp_path):
    protocol = {"steps": 6, "batch": 8, "width": 8, "depth": 1, "evaluations": 2}
    log = f"mlflow={server.address}/"
    [record] = run(TASK, "gru", protocol=protocol, results=str(tmp_path), log=log)
    assert record.outcome == "ok", record.reason

    told = dict(server.asked)
    assert told["runs/create"]["experiment_id"] == "7"
    assert told["runs/create"]["run_name"] == f"gru on {TASK}, seed 0"
    metrics = told["runs/log-batch"]["metrics"]
    losses = [(each["step"], each["value"]) for each in metrics if each["key"] == "loss"]
    scores = [(each["step"], each["value"]) for each in metrics if each["key"] == "validation/r2"]
    assert losses == record.learned.curve
    assert scores == record.learned.validation
    assert told["runs/update"]["status"] == "FINISHED"


def test_a_server_that_goes_costs_the_log_and_not_the_training(server):
    server.down, heard = True, []
    logger = MlflowLogger(server.address, "a run", "abc")
    with redirect(SimpleNamespace(tell=heard.append)), Log(8, [logger]) as log:
        log.step(1, 0.5, [0.1], 0.01)
    assert len(heard) == 1
    assert "is told no more: '503" in heard[0]


def test_a_server_that_is_not_there_is_told_in_a_sentence(server):
    with pytest.raises(SpecError, match=r"No MLflow server answers at 'http://127\.0\.0\.1:9'"):
        MlflowLogger("http://127.0.0.1:9", "a run", "abc")
    with pytest.raises(SpecError, match="wants the address of its server"):
        runs.known_log("mlflow=file:///tmp/runs")


def test_a_long_training_tells_of_fewer_and_fewer_steps():
    steps = []

    class Listener:
        def log_metrics(self, metrics, step):
            steps.append(step)

    log = Log(8, [Listener()])
    for step in range(1, 12_001):
        log.step(step, 0.5, [0.1], 0.01)

    assert steps == [*range(1, 1000), *range(1000, 10_000, 10), *range(10_000, 12_001, 100)]


def test_a_missing_package_or_another_name_is_told_in_a_sentence(monkeypatch):
    with pytest.raises(SpecError, match=r"No log is called 'tensorbord'\. Did you mean"):
        runs.known_log("tensorbord")
    monkeypatch.setattr(runs, "find_spec", lambda name: None)
    with pytest.raises(SpecError, match=r"pip install 'ssm-bench\[tensorboard\]'"):
        runs.known_log("tensorboard")
