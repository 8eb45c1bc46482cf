"""How quantities are written for people: short, with their unit. No number, no text: a dash."""

from harness.results.statistics import Interval

DASH = "—"
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


def score(value: float | None) -> str:
    """Write a score with three decimals, or three digits where it is large."""
    if value is None:
        return DASH
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.3g}"


def plus_minus(mean: float, interval: Interval | None) -> str:
    """Write a mean with half its interval."""
    return score(mean) + (f" ± {score((interval[1] - interval[0]) / 2)}" if interval else "")


def digits(value: float) -> str:
    """Write three significant digits without an exponent."""
    decimals = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:,.{decimals}f}"
