"""The runner of ssm-bench. What scripts and notebooks rely on stands here, imported when used."""

from typing import Any

__version__ = "0.1.0"
__all__ = [
    "Limits",
    "Protocol",
    "RunSpec",
    "Selector",
    "load_model",
    "load_task",
    "load_trained",
    "read_records",
    "run",
]

_HOMES = {
    "Limits": "harness.core.config",
    "Protocol": "harness.core.config",
    "RunSpec": "harness.core.config",
    "Selector": "harness.core.config",
    "load_model": "harness.plugins.loading",
    "load_task": "harness.plugins.loading",
    "load_trained": "harness.training.trained",
    "read_records": "harness.results.table",
    "run": "harness.runner.sweep",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home, so that `ssm-bench --help` need not load torch."""
    import importlib  # noqa: PLC0415

    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
