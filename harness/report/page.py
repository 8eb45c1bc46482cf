"""One HTML file that needs nothing else: style, script, figures and runs inside, no network."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.core import codec
from harness.core.record import Record
from harness.report.contents import Shown
from harness.report.protocol import protocol
from harness.report.provenance import provenance
from harness.report.runs import run_details

if TYPE_CHECKING:
    from harness.report.canvas import Picture

PLAIN = " <>=:/;,.-_()'{}[]!*@+?|~$"
"""What may stand in a figure's own address as it is, of what a quoted attribute may hold."""


def page(made: Shown, live: str = "") -> str:
    """Write the page: what was found, under which protocol, by section, and where it is from.

    Args:
        made: What is shown.
        live: The version of the records, if the page is served and asks for newer ones.
    """
    report, records = made.report, made.report.records
    environment = Environment(
        loader=PackageLoader("harness", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = (_source(environment, name) for name in ("page.css", "page.js"))
    drawn = [picture for found in made.pictures.values() for picture in found]
    return environment.get_template("page.html.j2").render(
        style=style,
        script=script,
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        live=live,
        summary=summary(records),
        headlines=report.headlines,
        warnings=made.warnings,
        protocol=protocol(report.groups),
        tables=made.tables,
        pictures=made.pictures,
        provenance=provenance(records),
        dirty=any(record.machine.get("dirty") for record in records),
        disturbed=sum(bool(record.disturbed) for record in records),
        runs=embedded(run_details(records)),
        figures=embedded({each.name: each.series for each in drawn}),
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


def data_uri(picture: "Picture") -> Markup:
    """Put a figure into its own address; nothing in it ends the attribute that holds it."""
    text = " ".join(picture.svg.decode().splitlines())
    return Markup("data:image/svg+xml;charset=utf-8," + quote(text, safe=PLAIN))  # noqa: S704


def embedded(values: Any) -> Markup:
    """Write values as JSON in which nothing ends the element that holds it."""
    return Markup(codec.encode(values).decode().replace("<", r"\u003c"))  # noqa: S704


def _source(environment: Environment, name: str) -> Markup:
    """Return a file of ours as it is."""
    loader = environment.loader
    assert loader is not None
    return Markup(loader.get_source(environment, name)[0])  # noqa: S704
