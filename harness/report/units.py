"""How quantities are written for people: short, with their unit. No number, no text: a dash."""

import math

from harness.results.statistics import Interval

DASH = "—"
DISTURBED = "~"
DISTURBED_NOTE = (
    f" {DISTURBED}: the machine was busy with other work, so the time is no measure of the model; "
    "it enters no exponent, crossover, ratio or estimate."
)
MOST_DECIMALS = 5
STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def seconds(value: float | None) -> str:
    """Write a duration in µs, ms, s, min or h."""
    if value is None:
        return DASH
    for unit, size, limit in (("µs", 1e-6, 1e-3), ("ms", 1e-3, 1.0), ("s", 1.0, 120.0)):
        if value < limit:
            return f"{digits(value / size)} {unit}"
    return f"{digits(value / 60)} min" if value < 7200 else f"{digits(value / 3600)} h"


def memory(value: float | None) -> str:
    """Write bytes in powers of 1024."""
    if value is None:
        return DASH
    power = min(max(int(value).bit_length() - 1, 0) // 10, 4)
    return f"{digits(value / 1024**power)} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


def scaled(value: float | None) -> str:
    """Write a large count with k, M, G or T."""
    if value is None:
        return DASH
    for size, prefix in STEPS:
        if value >= size:
            return f"{digits(value / size)} {prefix}"
    return digits(value)


def count(value: float | None) -> str:
    """Write a whole number with thousands separators."""
    return DASH if value is None else f"{value:,.0f}"


def score(value: float | None, decimals: int = 3) -> str:
    """Write a score with three decimals, or three digits where it is large; no zero is negative."""
    if value is None:
        return DASH
    return f"{value:z.{decimals}f}" if abs(value) < 100 else f"{value:.3g}"


def plus_minus(mean: float, interval: Interval | None) -> str:
    """Write a mean with half its interval, both with the decimals that the half needs."""
    if interval is None:
        return score(mean)
    half = (interval[1] - interval[0]) / 2
    decimals = math.ceil(-math.log10(half)) if 0 < half < 0.0005 else 3
    if decimals > MOST_DECIMALS:
        return f"{score(mean)} ± {half:.0e}"
    return f"{score(mean, decimals)} ± {score(half, decimals)}"


def timed(text: str, *, disturbed: bool) -> str:
    """Mark a duration, or what was derived from one, that other work disturbed."""
    return f"{DISTURBED}{text}" if disturbed and text != DASH else text


def digits(value: float) -> str:
    """Write three significant digits without an exponent."""
    decimals = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:,.{decimals}f}"
