"""Records as a table, a row a run. No torch, and pandas only where a table is asked for."""

import warnings
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from harness.core import codec
from harness.core.errors import SpecError
from harness.core.record import Record
from harness.results.store import Store

if TYPE_CHECKING:
    import pandas as pd


class DamagedLineWarning(UserWarning):
    """A line that is no record was left out of a table."""


def read_records(folder: Path | str) -> "pd.DataFrame":
    """Read a results folder as a table: one row a run, units in the columns' names.

    Trials of a sweep are left out: their scores are of validation. The runs that they decided have
    them in the column `trials`. A line that cannot be read is left out, with a warning.

    Raises:
        SpecError: The folder does not exist.
    """
    import pandas as pd  # noqa: PLC0415 - half a second that only a table is worth

    if not Path(folder).is_dir():
        raise SpecError(f"There is no results folder {str(folder)!r}; `ssm-bench run` makes one.")
    store = Store(folder)
    rows = store.each(lambda record: None if record.trial else row(record))
    for fault in store.faults():
        warnings.warn(f"Left out: {fault}", DamagedLineWarning, stacklevel=2)
    return pd.DataFrame([each for each in rows if each])


def row(record: Record) -> dict[str, Any]:
    """Flatten a record to numbers and texts; None where the run left nothing."""
    learned, measured, memory = record.learned, record.measured, record.memory
    call_s = median(measured.call_s) if measured and measured.call_s else None
    return {
        "run_id": record.run_id,
        "task": record.task,
        "model": record.model,
        "task_version": record.task_version,
        "seed": record.spec.seed,
        "device": record.spec.device,
        "outcome": record.outcome,
        "reason": record.reason,
        "metric": learned and learned.metric,
        "score": learned and learned.score,
        "interval_low": learned and learned.interval[0],
        "interval_high": learned and learned.interval[1],
        "chance": learned and learned.chance,
        "steps": learned and learned.steps,
        "step_s_median": median(learned.step_s) if learned and learned.step_s else None,
        "first_step_s": learned and learned.first_step_s,
        "train_s": learned and learned.train_s,
        "evaluate_s": learned and learned.evaluate_s,
        "length": measured and measured.length,
        "batch": measured and measured.batch,
        "call_s_median": call_s,
        "first_call_s": measured and measured.first_call_s,
        "precision": measured and measured.precision,
        "tokens_per_s": measured.tokens / call_s if measured and call_s else None,
        "flops": measured and measured.flops,
        "peak_bytes": memory and memory.peak_bytes,
        "delta_bytes": memory and memory.delta_bytes,
        "memory_method": memory and memory.method,
        "disturbed": record.disturbed,
        "parameters": record.parameters,
        "width": record.spec.protocol and record.spec.protocol.width,
        "chosen": record.swept and record.swept.chosen,
        "trials": record.swept and codec.builtins(record.swept.trials),
        "state_bytes": record.state_bytes,
        "predicted_s": record.prediction.get("seconds"),
        "predicted_bytes": record.prediction.get("bytes"),
        "path": record.path,
        "origin": record.sources["model"].origin if "model" in record.sources else None,
        "task_digest": record.digests["task"],
        "model_digest": record.digests["model"],
        "commit": record.machine.get("commit"),
        "dirty": record.machine.get("dirty"),
        "started": record.started,
        "ended": record.ended,
    }
