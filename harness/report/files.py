"""The files of a report, a format each."""

import io
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path

from harness.core.errors import SpecError, unknown
from harness.core.record import Record
from harness.report import formats
from harness.report.agreement import agreement_csv, contradiction_csv
from harness.report.contents import Report, Shown
from harness.report.latex import latex
from harness.report.literature import literature_csv
from harness.report.page import page, summary
from harness.report.protocol import protocol
from harness.results.destination import writing

Files = dict[str, bytes]
"""What stands in each file, by its path below the folder."""


def write(
    records: Sequence[Record],
    folder: Path,
    left_out: Sequence[str] = (),
    forms: Sequence[str] = ("md", "csv", "html"),
) -> list[Path]:
    """Write a report, and return the paths of its files.

    Args:
        records: What is reported.
        folder: Where to.
        left_out: Sentences on what of the results could not be read.
        forms: Of `FORMATS`.

    Raises:
        SpecError: The folder cannot be written to, or there is no such format.
    """
    files = contents(records, left_out, forms)
    with writing(folder, "--out"):
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return [folder / name for name in files]


def differing(
    records: Sequence[Record],
    folder: Path,
    left_out: Sequence[str] = (),
    forms: Sequence[str] = ("md", "csv", "html"),
) -> list[Path]:
    """Return which files of a written report are not what `write` would write now, or lack.

    Raises:
        SpecError: There is no such format.
    """
    files = contents(records, left_out, forms).items()
    paths = [(folder / name, content) for name, content in files]
    return [path for path, content in paths if not path.exists() or path.read_bytes() != content]


def contents(records: Sequence[Record], left_out: Sequence[str], forms: Sequence[str]) -> Files:
    """Return a report's files; the same records give the same bytes.

    Works with any records, also with none.
    """
    for form in forms:
        if form not in FORMATS:
            raise unknown("format of a report", form, list(FORMATS))
    made = Shown(Report(records), left_out)
    return {path: text for form in forms for path, text in FORMATS[form](made).items()}


def _markdown(made: Shown) -> Files:
    """Write all as Markdown; the figures lie beside it."""
    report = made.report
    shared = [f"{name}: {text}." for name, text in protocol(report.groups)]
    said = [summary(report.records), *report.headlines, *made.warnings, *shared]
    parts = ["# State space models and attention, compared\n"]
    parts += [f"{formats.escaped(sentence)}\n" for sentence in said]
    for name, found in made.tables.items():
        parts += [f"## {name}\n", *map(formats.markdown, found)]
        parts += [
            f"![{each.alt}](figures/{each.name}.png)\n" for each in made.pictures.get(name, ())
        ]
    files = {"report.md": "\n".join(parts).encode()}
    for picture in chain.from_iterable(made.pictures.values()):
        files[f"figures/{picture.name}.png"] = picture.png
        files[f"figures/{picture.name}.svg"] = picture.svg
    return files


def _csv(made: Shown) -> Files:
    """Write the numbers behind the tables, unrounded."""
    report = made.report
    every = [each for swept in report.sweeps.values() for each in swept.every]
    texts = {
        "scores.csv": formats.scores_csv(report.groups),
        "scaling.csv": formats.scaling_csv(every),
        "literature.csv": literature_csv(report.beside),
    }
    if report.agreements:
        texts["agreement.csv"] = agreement_csv(report.agreements)
        texts["contradictions.csv"] = contradiction_csv(report.agreements)
    return {name: text.encode() for name, text in texts.items()}


def _parquet(made: Shown) -> Files:
    """Write the same as Parquet.

    Raises:
        SpecError: pyarrow is not installed.
    """
    import pandas as pd  # noqa: PLC0415 - half a second, for nothing else

    try:
        return {
            name.replace(".csv", ".parquet"): pd.read_csv(io.BytesIO(text)).to_parquet(index=False)
            for name, text in _csv(made).items()
        }
    except ImportError as error:
        raise SpecError(
            "Parquet needs pyarrow, which is not installed; "
            "`pip install 'ssm-bench[parquet]'`, or leave parquet out of --format."
        ) from error


def _latex(made: Shown) -> Files:
    return {"report.tex": latex(chain.from_iterable(made.tables.values())).encode()}


def _html(made: Shown) -> Files:
    return {"report.html": page(made).encode()}


FORMATS: Mapping[str, Callable[[Shown], Files]] = {
    "md": _markdown,
    "csv": _csv,
    "parquet": _parquet,
    "latex": _latex,
    "html": _html,
}
"""How each is written."""
