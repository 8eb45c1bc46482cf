"""Minutes: every task that needs no download, with three models and hardly a step of training.

Proves that the whole path works, and says nothing about any model. A test compares the lists with
the tasks that there are.
"""

from collections.abc import Sequence

from harness import Protocol, RunSpec

SHORT = (
    "facts/noise[facts=8,length=32]",
    "grammar/gaps[length=64]",
    "images/pmnist",
    "images/smnist",
    "kernels/chart[length=64]",
    "languages/binary-addition[length=8]",
    "languages/binary-multiplication[length=8]",
    "languages/bracketed-arithmetic[length=8]",
    "languages/bucket-sort[length=8]",
    "languages/compute-sqrt[length=8]",
    "languages/cycle-navigation[length=8]",
    "languages/duplicate-string[length=8]",
    "languages/even-pairs[length=8]",
    "languages/missing-duplicate[length=8]",
    "languages/modular-arithmetic[length=8]",
    "languages/odds-first[length=8]",
    "languages/parity[length=8]",
    "languages/reverse-string[length=8]",
    "languages/solve-equation[length=8]",
    "languages/stack-manipulation[length=8]",
    "mad/compression[length=8]",
    "mad/fuzzy-recall[length=32]",
    "mad/memorization[length=8]",
    "mad/noisy-recall[length=32]",
    "mad/recall[length=32]",
    "recall/by-position[length=32,pairs=4,questions=2]",
    "recall/frequent-words[length=32,words=7]",
    "recall/needle[length=32]",
    "recall/variables[length=32]",
    "regression/in-context[points=8,dimensions=2]",
    "retrieval/continuous-mqar[pairs=4,vectors=16,channels=4]",
    "retrieval/induction-heads[length=32]",
    "retrieval/infilling[words=4,copies=2,holes=2]",
    "retrieval/mqar[length=16,pairs=2,vocabulary=32]",
    "retrieval/phone-book[entries=4,questions=1]",
    "retrieval/selective-copying[length=32,tokens=4]",
    "series/chaotic[length=16]",
    "series/motifs[length=32]",
    "signals/delay[length=64,lag=16,frequency=16]",
    "signals/reconstruction[length=64,memory=16,frequency=16]",
    "synthetic/context-shift[length=32]",
    "synthetic/cummax[length=32]",
    "synthetic/cumsum[length=32]",
    "synthetic/listops-subtrees[shorter=20,longer=60,deepest=4,arguments=4]",
    "synthetic/mips[length=32]",
    "synthetic/reverse[length=32]",
    "synthetic/select-fixed[length=32,marked=4]",
    "synthetic/select[length=32,marked=4]",
    "synthetic/shift[length=32,shifts=4]",
    "synthetic/solve-fixed[length=32]",
    "synthetic/solve[length=32]",
    "synthetic/sort[length=32]",
    "tracking/copying[length=16]",
    "tracking/modular-sum[length=16]",
    "tracking/parity[length=16]",
    "tracking/word-problem[length=16]",
)
"""Tasks that options make small; all models are tried."""
LONG = (
    "lra/listops",
    "lra/path-256[sets=smoke]",
    "lra/path-x[sets=smoke]",
    "lra/pathfinder[sets=smoke]",
    "lra/pathfinder-64[sets=smoke]",
    "speech/spoken",
    "synthetic/pathfinder-segmentation[sets=smoke]",
)
"""Tasks of a length of their own: attention looks around itself only."""
MEASURED = tuple(
    f"scaling/{name}[length={length}]"
    for name in ("forward", "train", "decode")
    for length in (64, 128)
)
TINY = Protocol(steps=8, batch=32, width=8, depth=1, evaluations=1, budget_s=4)
FEW = Protocol(steps=2, batch=4, width=4, depth=1, evaluations=1)
CHANCE, STATE, FULL, LOCAL = (
    "chance",
    "s4d[state=8]",
    "transformer[heads=2]",
    "local-attention[heads=1,chunk=64]",
)


def runs() -> list[RunSpec]:
    """Return the runs, a task's one after the other."""
    return [
        *crossed(SHORT, (CHANCE, STATE, FULL), TINY),
        *crossed(LONG, (CHANCE, STATE, LOCAL), FEW),
        *crossed(MEASURED, (STATE, FULL, "gru"), TINY),
    ]


def crossed(tasks: Sequence[str], models: Sequence[str], protocol: Protocol) -> list[RunSpec]:
    """Return every model on every task."""
    return [
        RunSpec(task=task, model=model, protocol=protocol) for task in tasks for model in models
    ]
