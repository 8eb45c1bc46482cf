"""Tasks that have most of their models in common: what stands in one table without many holes."""

from collections import Counter
from collections.abc import Iterable

from harness.results.aggregate import Group

COMMON = 0.5
"""Of the models of the task that has fewer, more than this share has to be the other's as well."""
ABLATION = 3
"""A model that a task has under so many options is what the task is about."""


def blocks(groups: Iterable[Group]) -> list[list[Group]]:
    """Part learning tasks by their models, the block with the most tasks first.

    An ablation, which has one model under several options, stands apart from what compares many,
    whoever else is in it. What has nothing to learn belongs to every task and decides nothing.
    """
    found: list[list[Group]] = []
    learned = [group for group in groups if not group.sweep]
    for group in learned:
        alike = [block for block in found if any(_alike(group, other) for other in block)]
        found = [block for block in found if block not in alike]
        found.append([*(each for block in alike for each in block), group])
    ordered = [sorted(block, key=learned.index) for block in found]
    return sorted(ordered, key=lambda block: (-len(block), learned.index(block[0])))


def _alike(one: Group, other: Group) -> bool:
    ours, theirs = _learners(one), _learners(other)
    if not (ours and theirs):
        return True
    common = len(ours & theirs) > COMMON * min(len(ours), len(theirs))
    return common and _is_ablation(ours) == _is_ablation(theirs)


def _is_ablation(models: Iterable[str]) -> bool:
    variants = Counter(model.partition("[")[0] for model in models)
    return max(variants.values()) >= ABLATION


def _learners(group: Group) -> set[str]:
    return {model for model, records in group.members.items() if records[0].parameters != 0}
