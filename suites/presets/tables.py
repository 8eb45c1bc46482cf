"""A day of one core: what `results/tables` leads with, what tells most an hour first.

Every model has as many parameters as the others of its row, and the best of four rates by
validation, with three seeds. `ssm-bench run --preset tables --jobs 2` goes on where it stopped, so
whatever is finished is whole rows.
"""

from dataclasses import replace

from harness import Protocol, RunSpec

SEEDS = range(3)
SWEEP = "lr_scale=1,2,4,8"
"""Recipes have the rates of long trainings; short ones want larger steps."""
SHALLOW = Protocol(
    steps=400, batch=8, depth=1, evaluations=2, match="parameters=40000", sweep=SWEEP
)
DEEP = Protocol(steps=500, batch=64, depth=2, evaluations=5, match="parameters=80000", sweep=SWEEP)
TRACKING = replace(SHALLOW, steps=600, batch=32)
MAD = replace(DEEP, steps=400, batch=16, width=128, match="", sweep="lr_scale=1,3,9")
MINUTE = replace(DEEP, steps=0, seconds=60, batch=16, evaluations=2, sweep="lr_scale=1,4", clip=1)
"""Equal time instead of equal steps: long sequences differ most in what a step costs."""
SPOKEN = replace(MINUTE, batch=8)
LONG = replace(SHALLOW, batch=2)
ABLATION = replace(SHALLOW, steps=600, batch=16, width=64, match="")
SCALING = Protocol(batch=1, width=64, depth=1, budget_s=16)

FIXED = ("s4", "s4d", "dss", "dlr", "s5")
"""Models whose layers do not depend on the input."""
SELECTIVE = ("mamba", "mamba2[head_dim=16]", "hgrn2", "gated-deltanet")
OTHERS = ("transformer[heads=2]", "lstm", "chance")
ALL = (*FIXED, *SELECTIVE, *OTHERS)
FAST = ("s4d", "dss", "dlr", "s5", "mamba", *OTHERS)
"""Models with which a step at length 512 takes some 20 ms; with others it is 70 or more."""
SLOW = tuple(model for model in ALL if model not in FAST)
ATOMIC = (
    *("shift", "cumsum", "select-fixed", "cummax", "select", "context-shift", "solve-fixed"),
    *("reverse", "sort", "solve", "mips"),
)
SOME = ("s4d", "dlr", "s5", *SELECTIVE, *OTHERS)
EACH_KIND = ("s4", "s4d", "dlr", "s5", "mamba", "hgrn2", "gated-deltanet", *OTHERS)
"""Fewer where every run takes a minute."""
UNSELECTIVE = "mamba[select_b=false,select_c=false,select_dt=false]"
NEGATIVE = ("deltanet[negative=true]", "gated-deltaproduct[negative=true]")
MIXERS = (
    *("s4d", "mamba", "mamba2", "hgrn2", "gla", "hyena", "deltanet", "gated-deltanet"),
    *("mlstm", "rwkv7", "transformer", "chance"),
)
"""Most are in published rankings by MAD, which contradict each other."""

Row = tuple[Protocol, tuple[str, ...], tuple[str, ...]]


def among(model: str, option: str, *values: object) -> tuple[str, ...]:
    """Return a model once for each value of an option."""
    return tuple(f"{model}[{option}={value}]" for value in values)


def atomic(*names: str, length: int = 512) -> tuple[str, ...]:
    """Return synthetic tasks at a length."""
    return tuple(f"synthetic/{name}[length={length}]" for name in names)


def recall(*pairs: int) -> tuple[str, ...]:
    """Return MQAR with texts that are full of pairs and their questions."""
    return tuple(f"retrieval/mqar[length={8 * p},pairs={p},vocabulary={16 * p}]" for p in pairs)


PLAN: tuple[Row, ...] = (
    (TRACKING, ("tracking/parity",), (*SOME, *NEGATIVE, "rwkv7")),
    (DEEP, recall(4), (*SOME, "rwkv7")),
    (TRACKING, ("tracking/word-problem", "tracking/modular-sum"), (*SOME, *NEGATIVE)),
    (
        ABLATION,
        ("retrieval/selective-copying[length=64,tokens=4]",),
        (
            "mamba",
            *(f"mamba[select_{part}=false]" for part in ("b", "c", "dt")),
            *(UNSELECTIVE, "s4d", "s5", "gated-deltanet", *OTHERS),
        ),
    ),
    (
        ABLATION,
        (
            "signals/delay[length=400,lag=100,frequency=50]",
            "signals/reconstruction[length=400,memory=100,frequency=50]",
            "synthetic/shift[length=512]",
        ),
        (
            *among("s4d", "init", "legs", "lin", "inv", "real", "fout", "random", "dfout"),
            *among("s4", "init", "legs", "fout", "legt"),
            *("dlr", "s5", "transformer[heads=2]", "chance"),
        ),
    ),
    (SHALLOW, atomic(*ATOMIC), FAST),
    (TRACKING, ("tracking/word-problem[group=a5]",), (*SOME, *NEGATIVE)),
    (DEEP, recall(8, 16), (*SOME, "rwkv7")),
    (MAD, ("mad/memorization", "mad/compression"), MIXERS),
    (SHALLOW, atomic(*ATOMIC), SLOW),
    (LONG, atomic("shift", "cumsum", "select-fixed", length=4096), ALL),
    (
        MAD,
        (
            "mad/recall",
            "mad/noisy-recall",
            "mad/fuzzy-recall",
            "retrieval/selective-copying[length=256,tokens=16]",
        ),
        MIXERS,
    ),
    (
        MAD,
        ("mad/recall",),
        ("mamba[conv=1]", UNSELECTIVE, "hybrid[m=conv[levels=1]]", "hybrid[m=transformer]"),
    ),
    (MINUTE, ("images/smnist", "images/pmnist"), EACH_KIND),
    (SPOKEN, ("speech/spoken[words=10]",), EACH_KIND),
    (
        MINUTE,
        (
            "lra/listops",
            "lra/pathfinder",
            "lra/pathfinder[distractors=asked]",
            "retrieval/phone-book[entries=6,questions=1]",
        ),
        EACH_KIND,
    ),
    (
        SCALING,
        ("scaling/forward", "scaling/train", "scaling/decode"),
        (*FIXED, "mamba", "mamba2", "hgrn2", "gated-deltanet", "transformer", "lstm"),
    ),
)
"""Protocol, tasks, models: every model on every task of its row."""


def runs() -> list[RunSpec]:
    """Return the runs, row by row; of what is measured a seed is a process."""
    return [
        RunSpec(task=task, model=model, protocol=protocol, seed=seed)
        for protocol, tasks, models in PLAN
        for task in tasks
        for model in models
        for seed in SEEDS
    ]
