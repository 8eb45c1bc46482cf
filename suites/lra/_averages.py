"""The two averages over Long Range Arena that papers give, for each way in which its data are read.

Sources: Tay et al. 2020 (arXiv 2011.04006) average five tasks; Gu et al. 2022 (arXiv 2111.00396)
and those after them six, in which a model that fails on Path-X has 50 % there.
"""

Averages = dict[str, dict[str, float | None]]

FIVE = dict.fromkeys(
    ("lra/listops", "lra/text", "lra/retrieval", "lra/image", "lra/pathfinder"), None
)


def over_six(variant: str) -> Averages:
    """Return the average with Path-X."""
    return {f"lra-6 ({variant})": {**FIVE, "lra/path-x": 0.5}}


def both(variant: str) -> Averages:
    """Return the averages in which all tasks but Path-X count: without it, and with it."""
    return {f"lra-5 ({variant})": {**FIVE}, **over_six(variant)}
