"""What papers and their code trained each model with, task by task; for a cluster, not a laptop.

Look first: `ssm-bench run --preset paper --dry-run`. The tables, with their sources and with what
the harness cannot express, stand beside this file.
"""

from harness import RunSpec
from suites.presets import _dlr, _gated, _s4, _s5

ROWS = (*_dlr.ROWS, *_s4.ROWS, *_s5.ROWS, *_gated.ROWS)


def runs() -> list[RunSpec]:
    """Return a run a row."""
    return [row.run() for row in ROWS]
