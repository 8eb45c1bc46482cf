"""What is chosen for each model before it is run: a width that matches, values among several."""

import re
from collections.abc import Mapping
from dataclasses import fields
from itertools import product

from harness.core.config import Option, Protocol, checked_options, parse_value, show
from harness.core.errors import SpecError, quoted, unknown

Grid = dict[str, tuple[Option, ...]]
"""Values by the name of a protocol's field or of a model's option."""

COUNT = re.compile(r"(\d{1,12}(?:\.\d{1,12})?) ?([kMG]?)", re.IGNORECASE)
FIELDS = frozenset(each.name for each in fields(Protocol))
NOT_SWEPT = {
    "seed": "scores are averaged over seeds, which --seeds names",
    "version": "it says what the other fields mean",
    "match": "it is what models have in common",
    "sweep": "it is the sweep itself",
    "trial": "trials are what a sweep makes",
    "budget_s": "it says what is run, and not how",
}
"""Why nothing is chosen among values of these."""


def parse_match(text: str) -> int:
    """Read how many parameters networks shall have, as in `params=200k`.

    Raises:
        SpecError: The text asks for something else.
    """
    name, _, count = (part.strip() for part in text.partition("="))
    if name in {"step_s", "seconds", "time"}:
        raise SpecError(
            "A width that follows from the time of a step would be another on each machine; "
            "hold the time of training equal with --budget 10min, and choose the width by "
            "--sweep width=32,64,128."
        )
    if name not in {"params", "parameters"}:
        raise SpecError(f"Networks are matched by parameters, as in params=200k, not by {name!r}.")
    found = COUNT.fullmatch(count)
    parameters = (
        round(float(found[1]) * 1000 ** " KMG".index(found[2].upper() or " ")) if found else 0
    )
    if not parameters:
        raise SpecError(
            f"{quoted(count)} is no number of parameters; write it like 200k, 1.5M or 200000."
        )
    return parameters


def parse_grid(text: str) -> Grid:
    """Read `lr_scale=0.3,1,3;state=16,64`, in the order of the names, numbers in their own.

    Raises:
        SpecError: It is written otherwise, or there is nothing to choose among.
    """
    grid: Grid = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, equals, values = (each.strip() for each in part.partition("="))
        if not equals:
            raise SpecError(f"{quoted(part)} is no sweep; write it like lr_scale=0.3,1,3,10.")
        if name in grid:
            raise SpecError(f"{name!r} is swept twice; give all of its values at once.")
        if name in NOT_SWEPT:
            raise SpecError(f"{name!r} cannot be swept: {NOT_SWEPT[name]}.")
        grid[name] = _values(name, values)
    return dict(sorted(grid.items()))


def _values(name: str, text: str) -> tuple[Option, ...]:
    read = [parse_value(value.strip()) for value in text.split(",") if value.strip()]
    if name in FIELDS:
        read = [checked_options(Protocol, {name: value}, "the protocol")[name] for value in read]
    values = list(dict.fromkeys(read))
    if len(values) < 2:
        raise SpecError(
            f"A sweep of {name!r} over {text or 'nothing'!r} leaves no choice; "
            "give two values or more, or set it without a sweep."
        )
    numbers = [value for value in values if isinstance(value, int | float)]
    return tuple(sorted(numbers)) if len(numbers) == len(values) else tuple(values)


def grid_text(grid: Mapping[str, tuple[Option, ...]]) -> str:
    """Write a grid so that `parse_grid` reads it back, and equal ones alike."""
    return ";".join(f"{name}={','.join(map(show, values))}" for name, values in grid.items())


def points(grid: Mapping[str, tuple[Option, ...]]) -> list[dict[str, Option]]:
    """Return every combination of values."""
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def point_text(values: Mapping[str, Option]) -> str:
    """Write one combination of values."""
    return ", ".join(f"{name}={show(value)}" for name, value in values.items())


def settled(protocol: Protocol) -> Protocol:
    """Return a protocol whose match and sweep are written in the one way that names runs.

    Raises:
        SpecError: One of them cannot be read, or the two contradict each other.
    """
    grid = parse_grid(protocol.sweep)
    match = f"parameters={parse_match(protocol.match)}" if protocol.match else ""
    if match and "width" in grid:
        raise SpecError("The width cannot be swept: it is chosen so that parameters match.")
    return protocol.changed({"match": match, "sweep": grid_text(grid)})


def refuse_unknown(grid: Mapping[str, tuple[Option, ...]], options: set[str]) -> None:
    """Check that everything that is swept is there.

    Args:
        grid: What is swept.
        options: Those of all the models that are asked for; one model may lack some.

    Raises:
        SpecError: Something is neither a field of the protocol nor an option of any model.
    """
    for name in grid.keys() - FIELDS - options:
        raise unknown("protocol field or option of these models", name, [*sorted(FIELDS | options)])
