"""Minutes: what a layer costs by its width, and by the size of its state.

At one length, 4,096 positions, where the quickstart and a bare `scaling` task go up in length. The
report shows how time and memory grow. Models whose state has another name than `state`, or whose
state is all they have read, are measured over widths only.
"""

from harness import Protocol, RunSpec

LENGTH = 4096
WIDTHS = (32, 64, 128, 256, 512)
STATES = (16, 64, 256)
BUDGET_S = 16.0


def runs() -> list[RunSpec]:
    """Return the runs over widths, then those over states."""
    wide = [
        RunSpec(
            task=f"scaling/{name}[length={LENGTH}]",
            model=model,
            protocol=Protocol(batch=1, width=width, depth=1, budget_s=BUDGET_S),
        )
        for name in ("forward", "train")
        for model in ("s4d", "mamba", "hgrn2", "transformer")
        for width in WIDTHS
    ]
    full = [
        RunSpec(
            task=f"scaling/{name}[length={LENGTH}]",
            model=f"{model}[state={state}]",
            protocol=Protocol(batch=1, width=128, depth=1, budget_s=BUDGET_S),
        )
        for name in ("forward", "decode")
        for model in ("s4d", "s5", "mamba", "mamba2")
        for state in STATES
    ]
    return wide + full
