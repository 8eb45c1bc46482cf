"""An evening on 2 cores: sizes at which the published order of the models can show.

State space models remember and count, attention and selective models recall, gated recurrences
track states. No training takes more than its share of seconds, the same for all models of a task.
"""

from harness import Protocol, RunSpec

DIGITS = Protocol(steps=600, seconds=150, batch=50, width=64, depth=2, lr_scale=2, evaluations=3)
ATOMIC = Protocol(steps=1500, seconds=240, batch=32, width=64, depth=1, lr_scale=2, evaluations=4)
DEEPER = Protocol(steps=2000, seconds=120, batch=16, width=64, depth=2, evaluations=4)
LISTOPS = Protocol(
    steps=8000, seconds=2700, batch=16, width=64, depth=4, lr_scale=0.5, clip=1, evaluations=8
)
RECALL = Protocol(steps=2500, seconds=240, batch=64, width=64, depth=2, lr_scale=3, evaluations=4)
TRACKING = Protocol(steps=2000, seconds=120, batch=64, width=64, depth=1, evaluations=4)
SPEECH = Protocol(steps=400, seconds=600, batch=16, width=32, depth=2, lr_scale=2, evaluations=2)
SCALING = Protocol(batch=1, width=64, depth=1, budget_s=16)

PLAN: tuple[tuple[Protocol, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        DIGITS,
        ("images/smnist", "images/pmnist"),
        ("chance", "s4d", "dlr", "lstm", "transformer"),
    ),
    (
        ATOMIC,
        tuple(
            f"synthetic/{name}[length=512]"
            for name in ("shift", "cumsum", "cummax", "select-fixed")
        ),
        ("chance", "dlr", "s4d", "transformer"),
    ),
    (
        DEEPER,
        tuple(f"synthetic/{name}[length=512]" for name in ("select", "context-shift", "mips")),
        ("chance", "dlr", "mamba", "transformer"),
    ),
    (LISTOPS, ("lra/listops[pool=first]",), ("chance", "s4d", "transformer")),
    (RECALL, ("retrieval/mqar",), ("chance", "s4d", "mamba", "hgrn2", "transformer")),
    (
        TRACKING,
        ("tracking/parity", "tracking/word-problem[group=a5]"),
        ("chance", "s4d", "mamba", "lstm", "transformer"),
    ),
    (SPEECH, ("speech/spoken",), ("chance", "s4d", "s5", "conv")),
    (
        SCALING,
        ("scaling/forward", "scaling/train", "scaling/decode"),
        ("s4d", "dlr", "mamba", "transformer"),
    ),
)
"""Protocol, tasks, models: every model on every task of its row."""


def runs() -> list[RunSpec]:
    """Return the runs, row by row."""
    return [
        RunSpec(task=task, model=model, protocol=protocol)
        for protocol, tasks, models in PLAN
        for task in tasks
        for model in models
    ]
