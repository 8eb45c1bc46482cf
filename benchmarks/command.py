"""How long people wait before the command line answers."""

import subprocess
import sys

from benchmarks.given import Timed


class StartUp(Timed):
    version = "1"
    params = (["--help", "list"],)
    param_names = ("argument",)

    def setup(self, argument: str) -> None:
        self.command = [sys.executable, "-P", "-m", "harness.cli", argument]
        if subprocess.run(self.command, capture_output=True, check=False).returncode:
            raise NotImplementedError(f"this commit has no `ssm-bench {argument}`")

    def time_start_up(self, argument: str) -> None:
        subprocess.run(self.command, capture_output=True, check=True)
