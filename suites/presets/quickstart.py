"""Minutes on 2 cores: a state space model, a diagonal linear RNN, a Transformer, and chance.

Sizes are chosen so that each question can be answered in the time, not so that any model is at its
best: real digits, two synthetic questions, and time and memory against length.
"""

from harness import Protocol, RunSpec

MODELS = ("chance", "s4d", "dlr", "transformer[heads=1]")
DIGITS = Protocol(steps=300, batch=32, width=32, depth=2, lr_scale=2, evaluations=1)
SYNTHETIC = Protocol(steps=250, batch=16, width=64, depth=1, evaluations=2)
SCALING = Protocol(batch=1, width=64, depth=1, budget_s=16)


def runs() -> list[RunSpec]:
    """Return the runs, the trainings first."""
    digits = [RunSpec(task="images/smnist", model=model, protocol=DIGITS) for model in MODELS]
    synthetic = [
        RunSpec(task=f"synthetic/{name}[length=256]", model=model, protocol=SYNTHETIC)
        for name in ("shift", "cumsum")
        for model in MODELS
    ]
    scaling = [
        RunSpec(task=f"scaling/{name}", model=model, protocol=SCALING)
        for name in ("train", "decode")
        for model in MODELS[1:]
    ]
    return digits + synthetic + scaling
