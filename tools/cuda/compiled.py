"""Compiles the kernels of layers for a card that is not there, and says what they take of it.

    python -P -m tools.cuda.compiled lru hawk --capability 90

Triton brings all that it needs to make machine code for CUDA; a card is needed to run it only. What
does not compile, or spills registers, is seen so. Capabilities: 80 is A100's, 90 H100's and H200's.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor
from triton.backends import nvidia
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from harness.plugins.loading import load_model
from tools.cuda.launches import WIDTH, passed

LENGTH = 16_384
TYPES = {
    torch.float64: "*fp64",
    torch.float32: "*fp32",
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
}
OPTIONS = "num_warps", "num_stages"
"""What is said to the compiler and not to the kernel."""


class Compiled(NamedTuple):
    """A kernel in machine code."""

    name: str
    registers: int
    """Of a thread."""
    spilled: int
    """Bytes of a thread that found no register."""
    shared: int
    """Bytes of a program."""


def compiled(name: str, capability: int) -> Iterator[Compiled]:
    """Compile what a layer launches, forwards and backwards, once for each signature."""
    launches: list[tuple[Any, ...]] = []
    passed(load_model(name), (1, LENGTH, WIDTH), lambda *launch: launches.append(launch))
    seen = set()
    for kernel, arguments, constants in launches:
        source, options = as_source(kernel, arguments, constants)
        key = kernel.__name__, str(source.signature), str(source.constants)
        if key not in seen:
            seen.add(key)
            yield measured(source, options, capability)


def as_source(
    kernel: Any, arguments: Sequence[Any], constants: dict[str, Any]
) -> tuple[ASTSource, dict[str, Any]]:
    """Say of a launch what Triton would specialise the kernel for, and the compiler's options."""
    signature, known, even = {}, {}, {}
    for place, (name, each) in enumerate(zip(kernel.arg_names, arguments, strict=False)):
        if isinstance(each, Tensor):
            signature[name] = TYPES[each.dtype]
        elif each is None or each == 1:
            signature[name], known[name] = "constexpr", each
        else:
            signature[name] = "i32" if abs(each) < 2**31 else "i64"
        if isinstance(each, Tensor) or (each is not None and each % 16 == 0):
            even[place,] = [["tt.divisibility", 16]]
    for name in constants.keys() - set(OPTIONS):
        signature[name], known[name] = "constexpr", constants[name]
    options = {name: constants[name] for name in OPTIONS if name in constants}
    return ASTSource(kernel, signature, known, even), options | {"enable_fp_fusion": True}


def measured(source: ASTSource, options: dict[str, Any], capability: int) -> Compiled:
    """Compile a kernel, and ask the card's own tool what it takes."""
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(made.asm["cubin"])
        file.flush()
        tool = Path(nvidia.__file__).parent / "bin" / "cuobjdump"
        said = subprocess.check_output([tool, "-res-usage", file.name], text=True)
    words = dict(word.split(":", 1) for word in said.split() if word.count(":") == 1)
    spilled = int(words["STACK"]) + int(words["LOCAL"])
    return Compiled(source.fn.__name__, int(words["REG"]), spilled, made.metadata.shared)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write rows of kernels in Markdown."""
    parser = argparse.ArgumentParser(prog="python -P -m tools.cuda.compiled", description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--capability", type=int, default=90)
    asked = parser.parse_args(arguments)
    write = sys.stdout.write
    write("| layer | kernel | registers of a thread | spilled bytes | shared bytes |\n")
    write("|---|---|--:|--:|--:|\n")
    for name in asked.models:
        for each in compiled(name, asked.capability):
            write(f"| {name} | {' | '.join(map(str, each))} |\n")


if __name__ == "__main__":
    main()
