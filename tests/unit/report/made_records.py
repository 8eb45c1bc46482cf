"""Records made for tests: single ones, and a whole sweep as a real one would leave it."""

from typing import Any

import msgspec
import numpy as np

from harness.core.config import Protocol, RunSpec, Selector
from harness.core.interference import Interference
from harness.core.messages import Planned
from harness.core.record import Learned, Measured, Memory, Outcome, Record, Source

MACHINE = {
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "dirty": True,
    "remote": "",
    "packages": {"torch": "2.13.0", "numpy": "2.4.6"},
    "python": "3.11.2",
    "processor": "A processor @ 2.5 GHz",
    "cores": 2,
    "ram_bytes": 8 * 2**30,
    "threads": 2,
    "before": {"load": 0.4, "cpu_s": 1.0},
    "selftest": {"memory_error": 0.01, "time_error": 0.002, "flags": []},
}
PROTOCOL = Protocol()


def blank(
    task: str = "synthetic/shift",
    model: str = "s4d",
    seed: int = 0,
    outcome: Outcome = "ok",
    protocol: Protocol | None = PROTOCOL,
    device: str = "cpu",
    **fields: Any,
) -> Record:
    """Make a record with nothing in it but what names it; `fields` are the record's own."""
    chosen = Selector(task)
    made = Selector(model)
    spec = RunSpec(
        task=Selector.of(chosen.name, chosen.options, 1),
        model=Selector.of(made.name, made.options, 1),
        protocol=protocol,
        seed=seed,
        device=device,
    )
    return Record(
        run_id=spec.run_id,
        outcome=outcome,
        task=chosen,
        model=made,
        task_options=chosen.options,
        model_options=made.options,
        spec=spec,
        **{"task_version": 1, "started": "2026-01-02T03:04:05Z", "machine": MACHINE, **fields},
    )


def made_of(digest: str, kind: str = "model") -> dict[str, Source]:
    """Say that a plugin was a file with a digest."""
    return {kind: Source(origin="leaky.py", digest=digest)}


def planned(
    task: str = "synthetic/shift",
    model: str = "s4d",
    *,
    protocol: Protocol = PROTOCOL,
    **fields: Any,
) -> Planned:
    """Make a planned run; `fields` are its own."""
    spec = RunSpec(task=task, model=model, protocol=protocol)
    given = {"task_version": 1, "learns": not task.startswith("scaling/"), **fields}
    return Planned(**{"spec": spec, "task": spec.task, "model": spec.model, **given})


def scored(
    score: float = 0.9,
    *,
    half: float = 0.02,
    chance: float = 0.1,
    lower: bool = False,
    **fields: Any,
) -> Record:
    """Make a record of a training."""
    step_s = fields.pop("step_s", [0.02, 0.021, 0.022])
    interference = fields.pop("interference", None)
    rng = np.random.default_rng(round(1000 * abs(score)))
    steps = np.arange(1, 301) * 3
    losses = 2.3 * np.exp(-steps * score / 200) + 0.05 + 0.05 * rng.random(300)
    learned = Learned(
        metric="mse" if lower else "accuracy",
        higher_is_better=not lower,
        chance=chance,
        score=score,
        interval=(score - half, score + half),
        scores={"test": {"accuracy": score}},
        curve=list(zip(steps.tolist(), losses.tolist(), strict=True)),
        validation=[(450, score), (900, score)],
        steps=900,
        step_s=step_s,
        first_step_s=0.4,
        train_s=20.0,
        evaluate_s=1.0,
        interference=interference,
    )
    memory = Memory(peak_bytes=400 * 2**20, delta_bytes=90 * 2**20, method="VmHWM")
    return blank(**{"learned": learned, "memory": memory, "parameters": 12_345, **fields})


def measured(
    length: int, call_s: list[float], *, task: str = "scaling/forward", **fields: Any
) -> Record:
    """Make a record of a measurement."""
    found = Measured(
        length=length,
        batch=1,
        tokens=length,
        call_s=call_s,
        first_call_s=2 * call_s[0],
        precision=0.02,
        flops=1000 * length,
        spent_s=sum(call_s),
        interference=fields.pop("interference", None),
    )
    memory = Memory(peak_bytes=300 * 2**20 + 500 * length, delta_bytes=500 * length, method="VmHWM")
    name = f"{task}[length={length}]"
    return blank(
        name,
        **{"measured": found, "memory": memory, "state_bytes": 4096, "learns": False, **fields},
    )


def sweep() -> list[Record]:
    """Make what a quickstart leaves: scores of four models, lengths of three, and losses."""
    rng = np.random.default_rng(7)
    records = []
    levels = {
        "chance": (0.1, 0.0),
        "lstm": (0.86, 0.3),
        "s4d": (0.95, 0.97),
        "transformer": (0.9, 0.6),
    }
    for model, (digits, shift) in levels.items():
        for seed in range(3):
            a, b = rng.normal(digits, 0.01), rng.normal(shift, 0.02)
            records.append(scored(float(a), task="images/smnist", model=model, seed=seed))
            records.append(
                scored(float(b), task="synthetic/shift", chance=0.0, model=model, seed=seed)
            )
    records[-1] = lost(
        "synthetic/shift", "transformer", "killed", "The process was killed by signal 9.", 2
    )
    skip = (
        "It has no step mode, so it cannot decode, "
        "and to do so it would have to be another model altogether."
    )
    records += [
        lost("synthetic/cumsum", "chance", "skipped", skip),
        scored(0.7, task="synthetic/cumsum"),
    ]
    records.append(lost("synthetic/cumsum", "lstm", "timed-out", "It ran longer than 60 s."))
    growth = {"lstm": (1e-5, 1.0), "s4d": (8e-6, 1.04), "transformer": (3e-9, 1.9)}
    for task in ("scaling/forward", "scaling/train"):
        for model, (factor, power) in growth.items():
            for length in (1024, 4096, 16_384, 65_536, 262_144):
                seconds = factor * length**power * (3 if task.endswith("train") else 1)
                if seconds > 20:
                    reason = f"Predicted to take {3 * seconds:.3g} s of a budget of 60 s."
                    forecast = {"seconds": 3 * seconds, "bytes": 2.0 * length**2}
                    name = f"{task}[length={length}]"
                    records.append(lost(name, model, "not-run", reason, prediction=forecast))
                else:
                    calls = (seconds * rng.normal(1, 0.02, 20)).tolist()
                    records.append(measured(length, calls, task=task, model=model))
    return records


def ran_beside(others: float, seconds: float = 10.0) -> Interference:
    """Say that others used so many of two cores while something was timed."""
    return Interference(
        wall_s=seconds,
        cpu_s=seconds,
        voluntary_switches=1,
        involuntary_switches=2,
        waited_s=others * seconds / 2,
        others_s=others * seconds,
        cores=2,
    )


def lost(
    task: str, model: str, outcome: Outcome, reason: str, seed: int = 0, **fields: Any
) -> Record:
    """Make a record of a run without a result."""
    fields = {"learns": not task.startswith("scaling/"), **fields}
    return blank(task, model, seed, outcome, reason=reason, **fields)


def again(record: Record, **changes: Any) -> Record:
    """Copy a record with some fields changed, and the name that its values then have."""
    changed = msgspec.structs.replace(record, **changes)
    return msgspec.structs.replace(changed, run_id=changed.spec.run_id)
