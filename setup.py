"""Builds the compiled operators of Mamba where there is a compiler, and packs what was published.

The rest is in pyproject.toml.
"""

from pathlib import Path
from shutil import copytree

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import CompileError, LinkError

OPENMP = "-fopenmp"
SOURCES = "selective_scan", "causal_conv", "activations"
PUBLISHED = ("results/records", "results/costs", "results/published", "claims")
"""Folders that are read without a checkout too; `shipped` says where they are."""


class WithPublished(build_py):
    """Puts published records and claims beside the code that reads them."""

    def run(self) -> None:
        """Copy the packages, and what no package holds."""
        super().run()
        if not self.editable_mode:
            for folder in map(Path, PUBLISHED):
                target = Path(self.build_lib, "harness/results/packed", folder.name)
                copytree(folder, target, dirs_exist_ok=True)


class WithOrWithoutOpenMP(build_ext):
    """Builds with several threads, with one where the compiler knows no OpenMP."""

    def build_extension(self, ext: Extension) -> None:
        """Compile and link, a second time without OpenMP if the first fails."""
        try:
            super().build_extension(ext)
        except (CompileError, LinkError):
            ext.extra_compile_args.remove(OPENMP)
            ext.extra_link_args.remove(OPENMP)
            super().build_extension(ext)


setup(
    ext_modules=[
        Extension(
            "baselines.ops.scans._native",
            [f"baselines/ops/csrc/{name}.cpp" for name in SOURCES],
            depends=["baselines/ops/csrc/lanes.h"],
            language="c++",
            extra_compile_args=[
                "-std=c++17",
                "-O3",
                "-g0",
                "-fvisibility=hidden",
                "-fno-math-errno",
                "-fno-trapping-math",
                OPENMP,
            ],
            extra_link_args=[OPENMP],
            optional=True,  # without a compiler the torch form runs
        )
    ],
    cmdclass={"build_ext": WithOrWithoutOpenMP, "build_py": WithPublished},
)
