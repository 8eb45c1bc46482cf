"""S4 and S4D: the configurations of state-spaces/s4 v3.0.0, the code behind both papers' tables.

Gu et al. 2022, arXiv 2206.11893 (S4D) and 2206.12037 (S4-LegS). Not expressible here: batch norm
and normalising after the residual sum (the recipes normalise layers, before), one dropout mask for
a whole sequence, and the last position as the answer on Pathfinder. Left out: BIDMC, whose rate is
halved every 100 epochs, and the plateau schedules of S4 v1 and DSS.
"""

from dataclasses import replace

from suites.presets._rows import Row

MODELS = ("s4", "s4d[init=legs]", "s4d[init=inv]", "s4d[init=lin]")
COMMON = Row(
    task="lra/listops",
    model="",
    width=256,
    depth=6,
    batch=50,
    steps=80_000,
    lr=0.01,
    ssm_lr=1e-3,
    dt_lr=1e-3,
    weight_decay=0.05,
    warmup=1000,
    source="state-spaces/s4 v3.0.0, configs/experiment",
)
IMAGE = replace(
    COMMON, task="lra/image[variant=s4]", width=512, steps=200_000, dropout=0.1, dt_lr=0.01
)
SETS = {"lra/image": 2, "images/scifar": 2, "speech/sc35": 2}
"""Independent state space models that the channels share; elsewhere each has its own."""
TASKS = (
    replace(COMMON, width=128, depth=8, dt_lr=0.01),
    replace(COMMON, task="lra/text[variant=s4]", batch=16, steps=50_000, dt_lr=0.01),
    replace(
        COMMON, task="lra/retrieval[variant=s4]", batch=64, steps=50_000, warmup=2500, dt_lr=0.01
    ),
    IMAGE,
    replace(
        COMMON,
        task="lra/pathfinder[variant=s4,sets=published]",
        batch=64,
        steps=500_000,
        lr=4e-3,
        weight_decay=0.03,
        warmup=2500,
    ),
    replace(
        COMMON,
        task="lra/path-x[variant=s4,sets=published]",
        batch=16,
        steps=500_000,
        lr=5e-4,
        ssm_lr=5e-4,
        dt_lr=5e-4,
        warmup=10_000,
    ),
    replace(IMAGE, task="images/scifar", dt_lr=1e-3),
    replace(COMMON, task="speech/sc35", width=128, batch=16, steps=200_000),
)


def with_options(row: Row, model: str) -> Row:
    """Return a task's row for a model, with its number of systems and its range of steps."""
    task, (name, _, options) = row.task.partition("[")[0], model.partition("[")
    chosen = [option for option in (options.removesuffix("]"),) if option]
    chosen += [f"n_ssm={SETS[task]}"] if task in SETS else []
    chosen += ["dt_min=0.0001"] if task == "lra/path-x" else []
    return replace(row, model=f"{name}[{','.join(chosen)}]" if chosen else name)


ROWS = tuple(with_options(row, model) for row in TASKS for model in MODELS)
