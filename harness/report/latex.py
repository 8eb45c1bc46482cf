"""Tables as LaTeX, for papers: booktabs, captions, nothing of anybody's text read as a command."""

from collections.abc import Iterable

from harness.report.tables import Table, Text

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "—": "---",
    "…": r"\dots{}",
    "µ": r"\textmu{}",
    "ᵃ": r"\textsuperscript{a}",
    "ᵇ": r"\textsuperscript{b}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}
"""What LaTeX would read as something else, or has no letter for."""


def latex(tables: Iterable[Table]) -> str:
    r"""Write tables for `\input`; the document needs `\usepackage{booktabs}`."""
    return "\n".join(map(_table, tables))


def _table(table: Table) -> str:
    columns = "".join("r" if table.is_number(n) else "l" for n in range(len(table.columns)))
    lines = [
        r"\begin{table}",
        rf"\caption{{{_escaped(table.title)}. {_escaped(table.note)}}}",
        r"\centering\small",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _row(map(_escaped, table.columns)),
        r"\midrule",
        *(_row(map(_cell, row)) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: Iterable[str]) -> str:
    # A row that begins with a bracket would be read as how far to leave the line before it.
    return " & ".join(f"{{{cell}}}" if cell.startswith("[") else cell for cell in cells) + r" \\"


def _cell(text: Text) -> str:
    plain = _escaped(text.text)
    return rf"\textbf{{{plain}}}" if text.best else rf"\emph{{{plain}}}" if text.missing else plain


def _escaped(text: str) -> str:
    return "".join(SPECIAL.get(letter, letter) for letter in " ".join(text.split()))
