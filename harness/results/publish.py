"""Moves reviewed records from a user's results into the versioned ones that the project ships.

And says where these are.
"""

from pathlib import Path
from typing import NamedTuple

from harness.core.config import Limits
from harness.core.errors import SpecError
from harness.core.record import Record
from harness.results.destination import writing
from harness.results.newest import newest
from harness.results.store import Store

PACKED = Path(__file__).with_name("packed")
"""Where a wheel holds what lies in a checkout's `claims/`, and in its `results/`."""


def shipped(kind: str) -> Path:
    """Return the folder of one kind of what the project ships, such as `records` or `claims`."""
    checkout = Path(__file__).parents[2]
    within = PACKED if PACKED.is_dir() else checkout if kind == "claims" else checkout / "results"
    return within / kind


class Published(NamedTuple):
    """What became of the records of a folder."""

    moved: int
    known: int
    """Records that were there already."""
    left: int
    """Records of runs that have to be done again: `killed` and `failed`."""


def publish(source: Path, target: Path) -> Published:
    """Copy the settled records of one folder to another; the source stays as it is.

    Args:
        source: A folder of records, such as `results/local`.
        target: The versioned folder, such as `results/records/v1`.

    Raises:
        SpecError: There is nothing to publish, a record's code was not committed, or the disk has
            filled.
    """
    records = newest(Store(source).records()).records
    if not records:
        raise SpecError(f"There are no records in {str(source)!r}; `ssm-bench run` makes some.")
    store = Store(target)
    fresh = [record for record in records if record.outcome not in {"killed", "failed"}]
    new = [record for record in fresh if not _is_known(record, store)]
    refuse_uncommitted(new)
    with writing(target, "--to"):
        for record in new:
            store.append(record)
    return Published(len(new), len(fresh) - len(new), len(records) - len(fresh))


def _is_known(record: Record, store: Store) -> bool:
    known = store.get(record.run_id)
    return known == record or store.finished(record, Limits()) is not None


def refuse_uncommitted(records: list[Record]) -> None:
    """Raise if a record cannot be traced to a commit: nobody could run it again."""
    untraced = [r for r in records if not r.machine.get("commit") or r.machine.get("dirty")]
    if untraced:
        first = untraced[0]
        raise SpecError(
            f"{len(untraced)} of {len(records)} records, {first.task} with {first.model} among "
            "them, come from code that is not committed; commit it and run them again."
        )
