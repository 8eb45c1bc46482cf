"""Which seeds, as people write them: `3`, `0,4-6`."""

import re

from harness.core.errors import SpecError, quoted

SEEDS = re.compile(r"(?P<first>\d{1,9})(\s*-\s*(?P<last>\d{1,9}))?")
MOST_SEEDS = 10_000


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read how many seeds, as in `3` for 0, 1 and 2, or which, as in `0,4-6` or `4-4`.

    Raises:
        SpecError: The text is neither.
    """
    parts = [SEEDS.fullmatch(part.strip()) for part in text.split(",")]
    ranges = [
        part and range(int(part["first"]), int(part["last"] or part["first"]) + 1) for part in parts
    ]
    if text.isdecimal() and parts[0]:
        ranges = [range(int(text))]
    seeds = [each for each in ranges if each]
    if len(seeds) < len(ranges):
        raise SpecError(
            f"{quoted(text)} names no seeds; write 3 for 0, 1 and 2, or 0,4-6 to choose."
        )
    if sum(map(len, seeds)) > MOST_SEEDS:
        raise SpecError(f"{quoted(text)} names more than {MOST_SEEDS:,} seeds; name fewer.")
    return tuple(dict.fromkeys(seed for each in seeds for seed in each))
