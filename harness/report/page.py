"""One HTML file that needs nothing else: no network, no script, figures inside."""

from base64 import b64encode
from collections.abc import Mapping, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from harness.core.record import Record
from harness.report.canvas import Picture
from harness.report.provenance import provenance
from harness.report.tables import Table


def page(
    records: Sequence[Record],
    tables: Mapping[str, list[Table]],
    pictures: Mapping[str, list[Picture]],
    left_out: Sequence[str] = (),
) -> str:
    """Write the page: what was compared, tables and figures by section, where it is from."""
    environment = Environment(
        loader=PackageLoader("harness", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        summary=summary(records),
        left_out=left_out,
        tables=tables,
        pictures=pictures,
        provenance=provenance(records),
        dirty=any(record.machine.get("dirty") for record in records),
        disturbed=sum(bool(record.disturbed) for record in records),
        data_uri=data_uri,
    )


def summary(records: Sequence[Record]) -> str:
    """Say in a sentence what was compared and how much of it has a result."""
    if not records:
        return "There are no records here; `ssm-bench run` makes some."
    models = sorted({record.model for record in records})
    tasks = {record.task for record in records}
    good = sum(record.outcome == "ok" for record in records)
    return (
        f"{', '.join(models)} on {len(tasks)} tasks and lengths: "
        f"{good} of {len(records)} runs have a result."
    )


def data_uri(picture: Picture) -> str:
    """Put a figure into its own address."""
    return "data:image/svg+xml;base64," + b64encode(picture.svg).decode()
