"""What a record says of a plugin's code: version, digest, and the packages it imports."""

from importlib.metadata import version
from pathlib import Path

import pytest

from harness.plugins.code import source_of
from harness.plugins.registry import Entry, registry


@pytest.fixture
def leaky(tmp_path):
    path = tmp_path / "leaky.py"
    text = "import torch.fft\nimport os\nfrom numpy import array\nfrom . import x\n"
    path.write_text(text + "from harness.api import Model\nclass Leaky(Model): pass\n")
    return path


def entry_of(path):
    return registry.__wrapped__((str(path),)).find("model", path.stem)


def test_a_plugin_file_has_a_digest_and_the_versions_of_what_it_imports(leaky):
    source = source_of(entry_of(leaky))

    assert source.origin == str(leaky)
    assert source.version == ""
    assert len(source.digest) == 64
    assert source.packages == {name: version(name) for name in ("numpy", "ssm-bench", "torch")}


def test_an_edit_changes_the_digest_and_a_copy_does_not(leaky, tmp_path):
    before = source_of(entry_of(leaky)).digest
    copy = tmp_path / "elsewhere" / "leaky.py"
    copy.parent.mkdir()
    copy.write_bytes(leaky.read_bytes())
    leaky.write_text(leaky.read_text() + "# edited\n")

    assert source_of(entry_of(leaky)).digest != before
    assert source_of(entry_of(copy)).digest == before


def test_a_module_of_a_package_stands_for_all_that_it_may_share(tmp_path):
    package = tmp_path / "acme"
    (package / "words").mkdir(parents=True)
    for name in ("__init__.py", "_shared.py", "words/copy.py"):
        (package / name).write_text("")
    path = package / "words" / "copy.py"
    entry = Entry(name="copy", kind="model", module="acme.words.copy", path=path, origin="acme")
    before = source_of(entry).digest
    (package / "_shared.py").write_text("x = 1")

    assert source_of(entry).digest != before


def test_our_own_plugins_go_by_their_versions():
    source = source_of(registry().find("model", "s4d"))

    assert (source.origin, source.version) == ("ssm-bench", version("ssm-bench"))
    assert (source.digest, source.packages) == ("", {})
    assert Path(registry().find("model", "s4d").path).exists()
