"""The verb that asks a trained network."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import LOCAL, Plugins, Results, app
from harness.core.errors import SpecError


@app.command()
def predict(
    run_id: Annotated[str, typer.Argument(help="A run that was made with --keep-weights.")],
    task: Annotated[
        str, typer.Argument(help="Another task with the same inputs and outputs.")
    ] = "",
    out: Annotated[Path, typer.Option(help="The Parquet file to write.")] = Path(
        "predictions.parquet"
    ),
    results: Results = LOCAL,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Write what a trained network answers to every example of validation and test."""
    import pandas as pd

    from harness.plugins.loading import build
    from harness.results.destination import writing
    from harness.training.trained import predictions, trained

    require_pyarrow()
    made = trained(run_id, results, plugin)
    asked = build("task", task, tuple(plugin)) if task else made.task
    if not asked.learns:
        raise SpecError(f"{asked.name} has no examples, for it only measures; name another task.")
    table = pd.DataFrame(predictions(made, asked))
    with writing(out, "--out"):
        table.to_parquet(out, index=False)
    typer.echo(f"{len(table):,} predictions: {out}")


def require_pyarrow() -> None:
    """See that Parquet can be written, before anything is computed.

    Raises:
        SpecError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # noqa: F401
    except ImportError as error:
        raise SpecError(
            "Parquet needs pyarrow, which is not installed; `pip install 'ssm-bench[parquet]'`."
        ) from error
