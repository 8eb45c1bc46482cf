"""Seconds: proves that the whole path works, and says nothing about any model."""

from harness.spec import Protocol, RunSpec

PROTOCOL = Protocol(steps=8, batch=4, width=8, depth=1, evaluations=2)
TASKS = ("synthetic/shift[length=32,shifts=4]", "synthetic/cumsum[length=32]")
LENGTHS = (64, 128)


def runs() -> list[RunSpec]:
    """Return two tiny trainings and a tiny ladder of each measurement."""
    trained = [
        RunSpec(task=task, model=model, protocol=PROTOCOL)
        for task in TASKS
        for model in ("chance", "s4d[state=8]")
    ]
    measured = [
        RunSpec(task=f"scaling/{pass_}[length={length}]", model="s4d[state=8]", protocol=PROTOCOL)
        for pass_ in ("forward", "train", "decode")
        for length in LENGTHS
    ]
    return trained + measured
