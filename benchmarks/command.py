"""How long people wait before the command line answers."""

import subprocess
import sys

from benchmarks.benchmark import Benchmark, Case, UnavailableError


class StartUp(Benchmark):
    """`ssm-bench` with a word that every commit should know."""

    params = (["--help", "list"],)

    def build(self, argument: str) -> Case:
        command = [sys.executable, "-P", "-m", "harness.cli", argument]

        def call() -> int:
            return subprocess.run(command, capture_output=True, check=False).returncode

        if call():
            raise UnavailableError(f"this commit has no `ssm-bench {argument}`")
        return Case(call)

    time_start_up = Benchmark.forward
