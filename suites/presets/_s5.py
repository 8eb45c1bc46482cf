"""S5: the authors' run scripts, arXiv 2208.04933.

Not expressible here: the second of the code's half gates (ListOps and Text; the recipe has the
first), and the momentum of its batch norm. An epoch of warm-up where a script does not say else.
"""

from dataclasses import replace

from suites.presets._rows import Row

S5 = Row(
    task="lra/listops",
    model="s5[state=16,blocks=8,optimiser=BfastandCdecay]",
    width=128,
    depth=8,
    batch=50,
    steps=76_800,
    lr=3e-3,
    ssm_lr=1e-3,
    weight_decay=0.04,
    warmup=1920,
    source="arXiv 2208.04933; lindermanlab/S5, bin/run_experiments and run_train.py",
)
ROWS = (
    S5,
    replace(
        S5,
        task="lra/text[variant=s4]",
        model="s5[state=192,blocks=12,dt_global=true]",
        width=256,
        depth=6,
        steps=17_500,
        lr=4e-3,
        weight_decay=0.07,
        warmup=0,
        dropout=0.1,
    ),
    replace(
        S5,
        task="lra/retrieval[variant=s4]",
        model="s5[state=256,blocks=16,c_init=trunc_standard_normal,dt_global=true]",
        depth=6,
        batch=32,
        steps=91_920,
        lr=2e-3,
        weight_decay=0.05,
        warmup=4596,
    ),
    replace(
        S5,
        task="lra/image[variant=s4]",
        model="s5[state=384,blocks=3,clip_eigs=true,optimiser=BfastandCdecay]",
        width=512,
        depth=6,
        steps=225_000,
        lr=4.5e-3,
        weight_decay=0.07,
        warmup=900,
        dropout=0.1,
    ),
    replace(
        S5,
        task="lra/pathfinder[variant=s4,sets=published]",
        model="s5[state=256,blocks=8,c_init=trunc_standard_normal]",
        width=192,
        depth=6,
        batch=64,
        steps=500_000,
        lr=4.5e-3,
        ssm_lr=9e-4,
        weight_decay=0.03,
        warmup=2500,
        dropout=0.05,
    ),
    replace(
        S5,
        task="lra/path-x[variant=s4,sets=published]",
        model="s5[state=256,blocks=16,c_init=complex_normal,dt_min=0.0001,optimiser=BandCdecay]",
        depth=6,
        batch=32,
        steps=375_000,
        lr=1.8e-3,
        ssm_lr=6e-4,
        weight_decay=0.06,
        warmup=5000,
    ),
    replace(
        S5,
        task="speech/sc35",
        model="s5[state=128,blocks=16,optimiser=noBCdecay]",
        width=96,
        depth=6,
        batch=16,
        steps=212_080,
        lr=8e-3,
        ssm_lr=2e-3,
        warmup=5302,
        dropout=0.1,
    ),
)
