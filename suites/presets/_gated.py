"""HGRN2 and Mamba: an author's run script, and the settings that a paper prints.

Not expressible here: HGRN2's positional codes, its wider gated unit on Retrieval and its batch
norms, and its cosine, which ends at 50,000 steps whatever the epochs. Left out: HGRN2 on images,
which scans in two dimensions. The attention rows on induction heads have a feed-forward map beside
attention, which the paper's have not (three times as many parameters), and of the positions that
the paper tries the rotary ones. What Mamba's paper does not say, the schedule and the decay of
selective copying, is constant and none.
"""

from dataclasses import replace

from suites.presets._rows import Row

HGRN2 = Row(
    task="lra/listops",
    model="hgrn2[expand=4]",
    width=64,
    depth=5,
    batch=128,
    steps=37_500,
    lr=5e-4,
    warmup=5000,
    precision="bf16-mixed",
    source="arXiv 2404.07904; OpenNLPLab/HGRN2, run_lra.py",
)
MAMBA = Row(
    task="retrieval/induction-heads[length=256,vocabulary=16]",
    model="mamba",
    width=64,
    depth=2,
    batch=8,
    steps=204_800,
    lr=1e-3,
    schedule="constant",
    source="arXiv 2312.00752, section 4.1",
)
ROWS = (
    HGRN2,
    replace(
        HGRN2,
        task="lra/text[variant=s4]",
        model="hgrn2[expand=8]",
        width=128,
        depth=4,
        batch=64,
        steps=15_600,
        lr=5e-3,
        warmup=10_000,
        dropout=0.1,
    ),
    replace(
        HGRN2,
        task="lra/retrieval[variant=s4]",
        model="hgrn2[expand=2]",
        width=256,
        depth=2,
        steps=22_980,
        lr=5e-3,
        warmup=312,
        clip=1.0,
    ),
    replace(
        MAMBA, task="retrieval/selective-copying[length=4096]", batch=64, steps=400_000, lr=1e-4
    ),
    *(replace(MAMBA, lr=lr) for lr in (2e-4, 1e-3)),
    *(replace(MAMBA, model="transformer[heads=8]", width=128, lr=lr) for lr in (2e-4, 1e-3)),
)
