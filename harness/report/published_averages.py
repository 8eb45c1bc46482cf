"""The table of averages over tasks beside those that papers give by the same convention."""

from collections.abc import Iterable

from harness.core.config import Selector
from harness.report import units
from harness.report.averages import every_average
from harness.report.tables import Table, Text
from harness.results.aggregate import Group
from harness.results.published import Figure


def published_average_table(groups: Iterable[Group], figures: Iterable[Figure]) -> Table:
    """Make the table of averages beside those that papers give by the same convention."""
    rows, labels = every_average(groups)
    printed = [each for each in figures if each.averaging and each.model]
    found = [
        (
            Text(row.name),
            Text(labels[model]),
            Text(text.text),
            Text("failed" if each.score is None else units.score(each.score)),
            Text(each.averaging),
            Text(f"{each.paper_model} ({each.variant or 'no variant named'}); {each.cited}"),
        )
        for row in rows
        for model, text in row.texts.items()
        if not text.missing
        for each in printed
        if each.model and each.model.name == Selector(model).name and row.is_averaged_as(each)
    ]
    return Table(
        title="Averages beside the literature",
        columns=("Average", "Model", "Here", "Published", "Convention", "Source"),
        rows=tuple(found),
        note="Only averages over as many tasks, in which what failed counts as much as here, stand "
        "beside each other; `ssm-bench published` lists the others. Without a verdict, for sources "
        "state the budget of single tasks at most.",
        labels=2,
        prose=2,
    )
