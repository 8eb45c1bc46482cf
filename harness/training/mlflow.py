"""A run of an MLflow server as one of Fabric's loggers, over the server's REST API.

MLflow's own client would install 80 packages and 117 MB beside us, and writes files no longer; what
is told here takes five requests, which its servers have answered alike since version 1. Source:
https://mlflow.org/docs/latest/rest-api.html
"""

from typing import Any

import requests
from lightning_fabric.loggers.logger import Logger

from harness.core.errors import SpecError, quoted
from harness.core.notify import inform
from harness.measure.clock import milliseconds, now

EXPERIMENT = "ssm-bench"
CREATE = "experiments/create"
PATIENCE_S = 20
FLUSH_S = 5
"""The most seconds of a training that a kill may take from what it told."""
MOST = 900
"""Numbers that are sent together; a server takes 1,000."""


class MlflowLogger(Logger):
    """Tells a server of one run; what it cannot be told costs the log and not the training."""

    name = EXPERIMENT
    version = None

    def __init__(self, address: str, title: str, run_id: str) -> None:
        """Begin a run on the server.

        Raises:
            SpecError: No MLflow answers there.
        """
        self.address, self.session = address.rstrip("/"), requests.Session()
        self.waiting: list[dict[str, Any]] = []
        self.sent, self.lost = now(), False
        try:
            known = self._get("experiments/get-by-name", experiment_name=EXPERIMENT)
            known = known["experiment"] if known else self._post(CREATE, name=EXPERIMENT)
            begun = self._post(
                "runs/create",
                experiment_id=known["experiment_id"],
                run_name=title,
                start_time=milliseconds(),
                tags=[{"key": "ssm_bench.run_id", "value": run_id}],
            )
            self.run: str = begun["run"]["info"]["run_id"]
        except (requests.RequestException, LookupError, TypeError) as error:
            what = quoted(" ".join(str(error).split()))
            raise SpecError(f"No MLflow server answers at {address!r}: {what}.") from error

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Tell of numbers, soon."""
        at = {"timestamp": milliseconds(), "step": step or 0}
        self.waiting += [{"key": key, "value": value, **at} for key, value in metrics.items()]
        if len(self.waiting) > MOST or now() - self.sent > FLUSH_S:
            self.save()

    def log_hyperparams(self, params: Any, *_: Any) -> None:
        """Tell nothing: the record has them."""

    def save(self) -> None:
        """Send what waits."""
        waiting, self.waiting = self.waiting, []
        for first in range(0, len(waiting), MOST):
            self._send("runs/log-batch", run_id=self.run, metrics=waiting[first : first + MOST])
        self.sent = now()

    def finalize(self, status: str) -> None:
        """Send what waits, and end the run."""
        self.save()
        ended = "FINISHED" if status == "success" else "FAILED"
        self._send("runs/update", run_id=self.run, status=ended, end_time=milliseconds())

    def _send(self, verb: str, **fields: Any) -> None:
        if self.lost:
            return
        try:
            self._post(verb, **fields)
        except requests.RequestException as error:
            self.lost = True
            what = quoted(" ".join(str(error).split()))
            inform(f"MLflow at {self.address} is told no more: {what}.")

    def _get(self, verb: str, **fields: str) -> Any:
        """Return what the server says; None if it knows no such thing."""
        answer = self.session.get(self._at(verb), params=fields, timeout=PATIENCE_S)
        if answer.status_code == requests.codes.not_found:
            return None
        answer.raise_for_status()
        return answer.json()

    def _post(self, verb: str, **fields: Any) -> Any:
        answer = self.session.post(self._at(verb), json=fields, timeout=PATIENCE_S)
        answer.raise_for_status()
        return answer.json()

    def _at(self, verb: str) -> str:
        return f"{self.address}/api/2.0/mlflow/{verb}"
