"""The compiled operator is optional: what runs without it, and who says so."""

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from baselines.mamba import Mamba
from baselines.ops.convolution import causal_conv
from baselines.ops.kernels import installed as kernels
from baselines.ops.scans import native, selective_scan
from harness.api import SpecError
from harness.core.seeding import scope, stream

needs_library = pytest.mark.skipif(native.library() is None, reason="no compiler built it")


@needs_library
@pytest.mark.parametrize("wanted", native.LEVELS)
def test_the_environment_holds_the_instruction_set_down(
    wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSM_BENCH_NATIVE", raising=False)
    best = native.LEVELS.index(native.level())
    monkeypatch.setenv("SSM_BENCH_NATIVE", wanted)
    assert native.LEVELS.index(native.level()) == min(best, native.LEVELS.index(wanted))


@pytest.mark.parametrize("wanted", ["1", "avx", "AVX2"])
def test_an_unknown_instruction_set_is_refused_in_a_sentence(
    wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSM_BENCH_NATIVE", wanted)
    sentence = f"must be 0, baseline, avx2, avx512 or not set, not '{wanted}'"
    with scope("init"):
        layer = Mamba().build(width=4, length=8, causal=True)
    with pytest.raises(SpecError, match=sentence):
        layer(torch.zeros(1, 3, 4))
    assert not native.fact()[0]
    assert sentence in native.fact()[1]


@needs_library
def test_without_the_library_torch_scans_to_the_same_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with scope("init"):
        layer = Mamba().build(width=8, length=40, causal=True)
    u = torch.randn(2, 40, 8, generator=stream("u"))
    assert layer.path() == f"native-{native.level()}"
    compiled = layer(u)
    monkeypatch.setattr(native, "library", lambda: None)
    assert layer.path() == "chunked"
    torch.testing.assert_close(layer(u), compiled)
    assert native.fact()[0] is False
    assert "compiler" in native.fact()[1]


def test_a_library_that_cannot_be_loaded_is_no_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ("_native" + native.EXTENSION_SUFFIXES[0])).write_text("no library")
    monkeypatch.setattr(native, "__file__", str(tmp_path / "native.py"))
    assert native.library.__wrapped__() is None


def build(root: Path, into: Path, compiler: str) -> list[Path]:
    """Build the extension with a compiler, and return the libraries that there are then."""
    done = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--build-lib", into, "--build-temp", into],
        cwd=root,
        env=os.environ | {"CC": compiler, "CXX": compiler, "CFLAGS": "-O0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(into.rglob("_native*"))


def test_where_there_is_no_compiler_the_build_succeeds_without_the_library(
    root: Path, tmp_path: Path
) -> None:
    assert build(root, tmp_path, "no-such-compiler") == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler")
def test_a_compiler_without_openmp_builds_the_library_all_the_same(
    root: Path, tmp_path: Path
) -> None:
    compiler = tmp_path / "g++"
    compiler.write_text('#!/bin/sh\ncase "$*" in *-fopenmp*) exit 1;; esac\nexec g++ "$@"\n')
    compiler.chmod(0o755)
    (library,) = [path for path in build(root, tmp_path, str(compiler)) if path.suffix == ".so"]
    assert ctypes.CDLL(str(library)).scan_chunk() > 0


SANITISED = """
def pytest_collection_modifyitems():
    from baselines.ops.scans import native

    native.__file__ = __file__
    native.library.cache_clear()
    assert native.library()
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler")
def test_what_is_compiled_stays_inside_its_memory(root: Path, tmp_path: Path) -> None:
    """Run its tests under AddressSanitizer and UBSan, shapes drawn by hypothesis among them."""
    runtimes = [
        subprocess.check_output(["g++", f"-print-file-name={name}"], text=True).strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    if not all(Path(runtime).is_absolute() for runtime in runtimes):
        pytest.skip("the compiler has no sanitizers")
    library = tmp_path / ("_native" + native.EXTENSION_SUFFIXES[0])
    sources = list((root / "baselines/ops/csrc").glob("*.cpp"))
    flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fopenmp", "-O1", "-g1"]
    subprocess.run(
        ["g++", "-std=c++17", *flags, "-shared", "-fPIC", *sources, "-o", library],
        check=True,
    )
    (tmp_path / "sanitised.py").write_text(SANITISED)
    asked = [
        "-p",
        "sanitised",
        "-k",
        "compiled_scan or compiled_convolution",
        *(root / f"tests/numerics/test_{name}.py" for name in ("selective_scan", "causal_conv")),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *asked],
        cwd=root,
        env=os.environ
        | {"LD_PRELOAD": " ".join(runtimes), "ASAN_OPTIONS": "detect_leaks=0"}
        | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_installation_without_a_compiler_has_no_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "__file__", str(tmp_path / "native.py"))
    assert native.library.__wrapped__() is None


@needs_library
def test_a_scan_may_use_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    with scope("init"):
        layer = Mamba().build(width=96, length=8, causal=True)
    u = torch.randn(2, 70, 96, generator=stream("u"))
    alone = layer(u)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        together = layer(u)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(together, alone)


class OnCuda(torch.Tensor):
    """Says that it lies on a CUDA device."""

    is_cuda = True


@pytest.mark.parametrize(
    ("plain", "dtype", "asked", "there", "form"),
    [
        (True, torch.float32, "mamba_ssm,triton", {"mamba_ssm", "triton"}, "mamba_ssm"),
        (True, torch.float32, "triton", {"mamba_ssm", "triton"}, "triton"),
        (True, torch.float32, "mamba_ssm,triton", {"triton"}, "triton"),
        (True, torch.float32, "mamba_ssm,triton", {}, "chunked"),
        (True, torch.float32, "torch", {"mamba_ssm", "triton"}, "chunked"),
        (False, torch.float32, "mamba_ssm,triton", {"mamba_ssm", "triton"}, "triton"),
        (True, torch.float64, "mamba_ssm", {"mamba_ssm"}, "chunked"),
    ],
)
def test_on_cuda_the_authors_kernel_runs_where_it_is_asked_for_and_can(
    plain: bool,
    dtype: torch.dtype,
    asked: str,
    there: set[str],
    form: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(kernels.SWITCH, asked)
    monkeypatch.setattr(kernels, "is_installed", lambda name: name in there)
    x = torch.zeros(1, dtype=dtype).as_subclass(OnCuda)
    monkeypatch.setattr(OnCuda, "is_cpu", False)
    assert selective_scan.scan_form(x, plain=plain).name == form


def test_the_authors_kernel_is_called_with_time_innermost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for their function, written from its documented layout."""

    def selective_scan_fn(u, delta, A, B, C, D, *, return_last_state):
        assert return_last_state
        system = selective_scan.Selective(dt=delta.mT, A=A, B=B.mT, C=C.mT, D=D)
        state = u.new_zeros(len(u), *A.shape)
        y, last = selective_scan.naive_selective_scan(u.mT, system, state)
        return y.mT, last

    module = ModuleType("mamba_ssm.ops.selective_scan_interface")
    module.selective_scan_fn = selective_scan_fn  # type: ignore[attr-defined]
    for name in ("mamba_ssm", "mamba_ssm.ops"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with scope("init"):
        layer = Mamba().build(width=8, length=40, causal=True)
    u = torch.randn(2, 9, 8, generator=stream("u"))
    expected = layer(u)
    form = selective_scan.FORMS[0]._replace(fits=lambda x, *, plain: plain)
    monkeypatch.setattr(selective_scan, "FORMS", (form,))
    torch.testing.assert_close(layer(u), expected)


@pytest.mark.parametrize(
    ("taps", "dtype", "continues", "fits"),
    [
        (4, torch.float32, False, True),
        (5, torch.float32, False, False),
        (4, torch.float64, False, False),
        (4, torch.float32, True, False),
    ],
)
def test_on_cuda_the_authors_convolution_runs_where_it_is_asked_for_and_can(
    taps: int, dtype: torch.dtype, continues: bool, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, weight = torch.randn(2, 9, 3, dtype=dtype), torch.randn(3, taps, dtype=dtype)
    state = torch.randn(2, taps - 1, 3, dtype=dtype) if continues else None
    expected = causal_conv.naive_causal_conv(x, weight, None, state, silu=True)
    calls = []

    def causal_conv1d_fn(x, weight, bias, *, activation):
        assert (x.shape, activation) == ((2, 3, 9), "silu")
        calls.append(1)
        return causal_conv.naive_causal_conv(x.mT, weight, bias, silu=True).mT

    module = ModuleType("causal_conv1d")
    module.causal_conv1d_fn = causal_conv1d_fn  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "causal_conv1d", module)
    monkeypatch.setattr(causal_conv, "runs", lambda name: True)
    y = causal_conv.causal_conv(x.as_subclass(OnCuda), weight, None, state, silu=True)
    torch.testing.assert_close(y.as_subclass(torch.Tensor), expected)
    assert calls == [1] * fits


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_what_the_processor_gives() -> None:
    with scope("init"):
        layer = Mamba().build(width=16, length=200, causal=True)
    u = torch.randn(2, 200, 16, generator=stream("u"))
    expected = layer(u)
    there = layer.cuda()
    assert there.path() == ("triton" if importlib.util.find_spec("triton") else "chunked")
    torch.testing.assert_close(there(u.cuda()).cpu(), expected, rtol=1e-4, atol=1e-5)
