"""Gupta, Mehta, Berant 2022, arXiv 2212.00768: the commands and configurations of ag1988/dlr.

Not expressible here: normalising after the residual sum (all but Pathfinder); no gated linear unit
in the atomic tasks, and no feed-forward maps beside attention (the recipes' blocks have them);
kernels cut to 8,192 or 32,768 taps on Pathfinder; a cosine that ends after the training's last
step (256 pixels: 200,000, 512 pixels: 600,000). Steps are those that the loader's four workers
really gave. Left out: SGConv, whose recipe has a rate for its kernel that no option sets, and DSS
on 512 pixels, whose poles have one rate and whose weights another.
"""

from dataclasses import replace

from suites.presets._rows import Row

SOURCE = "arXiv 2212.00768; ag1988/dlr, README and configs/experiment"
IN_PLACE = ("context-shift", "cummax", "cumsum", "select", "select-fixed", "shift")
ATOMIC = (*IN_PLACE, "reverse", "solve", "solve-fixed", "sort")
"""All that have the common settings: MIPS has its own."""
KERNEL = "state=4096,dt_min=1e-05,dt_max=1e-05"
DLR, PRODUCT = f"dlr[{KERNEL}]", f"dlr[kernel=prod,{KERNEL}]"
EXP = "dss[state=4096,form=exp,init=lin,dt_min=0.0001,dt_max=0.01]"
COMMON = Row(
    task="",
    model=DLR,
    width=128,
    depth=1,
    batch=16,
    steps=43_200,
    lr=1e-4,
    schedule="constant",
    source=SOURCE,
)
AT_4096 = (
    COMMON,
    replace(COMMON, depth=6),
    replace(COMMON, model=EXP, lr=1e-3, ssm_lr=1e-3, dt_lr=1e-3),
    replace(COMMON, model="transformer", lr=1e-3),
)
AT_512 = (
    replace(COMMON, depth=6, batch=64, steps=10_800, lr=5e-5),
    replace(COMMON, model="transformer", depth=2, batch=64, steps=10_800, lr=1e-3),
)
MIPS = tuple(
    replace(row, batch=4, steps=172_800, lr=lr)
    for row, lr in zip((AT_4096[0], *AT_4096[2:]), (1e-4, 1e-3, 1e-4), strict=True)
)
SHIFT = tuple(
    replace(row, width=32, batch=4, steps=86_400)
    for row in (
        replace(COMMON, lr=1e-5),
        replace(COMMON, model=PRODUCT, lr=1e-5),
        AT_4096[2],
    )
)
LISTOPS = replace(
    COMMON,
    task="synthetic/listops-subtrees[shorter=7000,longer=8180,deepest=15,arguments=9]",
    model="dlr[state=1024,dt_min=0.0001,dt_max=0.1]",
    depth=6,
    batch=32,
    steps=300_000,
    lr=8e-4,
    warmup=5000,
    schedule="cosine",
    weight_decay=0.01,
)
LIN = "dss[state=1024,form=exp,init=lin,dt_min=0.0001,dt_max=0.01]"
LOCAL = "local-attention[chunk=1024]"
PATHS_128 = replace(
    LISTOPS,
    task="synthetic/pathfinder-segmentation[size=128,sets=published]",
    depth=5,
    batch=16,
    steps=150_000,
    lr=1e-4,
    warmup=3000,
    weight_decay=0.0,
)
PATHS_256 = replace(
    PATHS_128,
    task="synthetic/pathfinder-segmentation[size=256,sets=published]",
    depth=6,
    batch=18,
    steps=177_760,
    lr=5e-5,
    warmup=1000,
)
PATHS_512 = replace(
    PATHS_128,
    task="synthetic/pathfinder-segmentation[size=512,sets=published]",
    model="dlr[state=2048,dt_min=0.0001,dt_max=0.1]",
    width=64,
    depth=12,
    batch=14,
    steps=228_560,
    lr=1e-5,
    warmup=200,
)
HIGHER = (
    LISTOPS,
    replace(LISTOPS, model=LIN, lr=1e-3, ssm_lr=1e-3, dt_lr=1e-3),
    replace(LISTOPS, model=LOCAL, lr=1e-3),
    PATHS_128,
    replace(PATHS_128, model=LIN, lr=1e-3, ssm_lr=1e-3, dt_lr=1e-3),
    replace(PATHS_128, model=LOCAL, lr=1e-3),
    PATHS_256,
    replace(PATHS_256, model=LIN, lr=5e-4, ssm_lr=5e-4, dt_lr=5e-4),
    PATHS_512,
)
ROWS = (
    *(replace(row, task=f"synthetic/{name}[length=4096]") for name in ATOMIC for row in AT_4096),
    *(replace(row, task=f"synthetic/{name}[length=512]") for name in ATOMIC for row in AT_512),
    *(replace(row, task="synthetic/mips[length=4096]") for row in MIPS),
    *(
        replace(row, task=f"synthetic/shift[length={length}]")
        for length in (16_384, 65_536, 262_144, 1_048_576)
        for row in SHIFT
    ),
    *HIGHER,
)
