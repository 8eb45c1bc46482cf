"""The table of two sides of a comparison."""

from harness.report import units
from harness.report.tables import Table, Text
from harness.results.compare import Change, Comparison, Ratio


def comparison_table(comparison: Comparison, names: tuple[str, str]) -> Table:
    """Make the table of B against A."""
    a, b = names
    return Table(
        title=f"{b} against {a}",
        columns=(
            *("Task", "Model", "n", "A", "B", "B - A", "p", "Effect", "Errors", "p"),
            *("Time B/A", "Memory B/A"),
        ),
        rows=tuple(_change_row(change) for change in comparison.changes),
        note=f"A is {a}, B is {b}; n pairs of runs. B - A: mean ± half its 95 % interval over "
        "pairs. p: two-sided sign-flip test, raised for all rows together (Benjamini and "
        "Hochberg). Effect: mean over standard deviation. Errors: those of B less those of A on "
        "each test example, averaged over the pairs, ± half the 95 % interval over examples, with "
        "the p of McNemar's or a permutation test, raised likewise: of these networks, not of "
        "another seed. "
        f"Runs without a partner: {comparison.unpaired}. {comparison.note}".rstrip(),
        labels=2,
    )


def _change_row(change: Change) -> tuple[Text, ...]:
    score = change.score
    numbers = [units.DASH] * 5
    if score is not None:
        numbers = [
            units.score(score.mean_a),
            units.score(score.mean_b),
            units.plus_minus(score.difference, score.interval),
            units.DASH if score.adjusted_p_value is None else f"{score.adjusted_p_value:.3f}",
            units.DASH if score.effect is None else units.digits(score.effect),
        ]
    errors = [units.DASH] * 2
    if (found := change.by_example) is not None:
        errors = [
            units.plus_minus(found.difference, found.interval),
            f"{found.adjusted_p_value:.3f}",
        ]
    ratios = [_ratio_text(ratio) for ratio in (change.seconds, change.peak_bytes)]
    names = (change.task, change.model, str(len(change.seeds)))
    return tuple(map(Text, (*names, *numbers, *errors, *ratios)))


def _ratio_text(ratio: Ratio | None) -> str:
    if ratio is None:
        return units.DASH
    low_high = f" [{ratio.interval[0]:.2f}, {ratio.interval[1]:.2f}]" if ratio.interval else ""
    return f"{ratio.value:.2f}{low_high}"
