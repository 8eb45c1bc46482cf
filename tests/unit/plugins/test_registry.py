"""Plugins are found by their file's name, imported only when used, and cannot hide one another."""

import subprocess
import sys
import textwrap
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from harness.core.errors import SpecError
from harness.plugins import loading, registry
from harness.plugins.loading import BrokenPluginError, build, chosen, options

MODEL = '''
"""A model for a test."""
from dataclasses import dataclass
from harness.api import Model

@dataclass(frozen=True, kw_only=True)
class Recipe(Model):
    size: int = 3

    def build(self, *, width, length, causal):
        raise NotImplementedError
'''


@pytest.fixture
def file(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    return write


@pytest.fixture
def package(file, tmp_path, monkeypatch):
    """Write a package of plugins that an entry point could name."""
    for name in ("acme/__init__.py", "acme/words/__init__.py"):
        file(name, "")
    file("acme/words/shared/__init__.py", "PLUGINS = False")
    file("acme/words/shared/letters.py", "")
    file("acme/plans/__init__.py", '"""Runs."""\n\nPLUGINS = "preset"  # whose files are lists')
    file("acme/plans/long_ago.py", '"""Many runs."""')
    file("acme/words/copy_back.py", '"""Say it again, backwards."""')
    file("acme/words/_shared.py", "")
    file("acme/broken.py", "def (")
    file("acme/raises.py", '"""Fails at import."""\nraise RuntimeError("no luck")')
    monkeypatch.syspath_prepend(tmp_path)
    return "acme"


@pytest.fixture
def installed(monkeypatch):
    """Return what the registry finds where nothing but one entry point is installed."""

    def find(value, group="ssm_bench.suites"):
        points = EntryPoints([EntryPoint("acme", value, group)])
        monkeypatch.setattr(registry, "entry_points", points.select)
        return registry.registry.__wrapped__()

    return find


def test_a_package_is_walked_by_file_name_and_helpers_are_left_out(package, installed):
    found = installed(package)

    assert {e.name for e in found.entries} == {"words/copy-back", "broken", "raises", "long-ago"}
    assert "acme" not in sys.modules


def test_a_package_within_says_that_it_holds_presets_or_no_plugins(package, installed):
    found = installed(package)

    assert list(found.of("preset")) == ["long-ago"]
    assert found.of("preset")["long-ago"].module == "acme.plans.long_ago"
    assert found.folders("task") == ["words"]


def test_a_summary_is_read_from_the_source_without_importing_it(package, installed):
    found = installed(package)

    assert found.of("task")["words/copy-back"].summary == "Say it again, backwards."


def test_a_file_that_cannot_be_parsed_is_reported_and_hides_no_other(package, installed):
    found = installed(package)

    (broken,) = found.broken()
    assert broken.name == "broken"
    assert "SyntaxError" in broken.error
    assert set(found.of("task")) == {"words/copy-back", "raises"}


def test_a_failing_import_is_reported_with_its_error(package, installed):
    found = installed(package)

    with pytest.raises(BrokenPluginError, match=r"from acme .*RuntimeError: no luck"):
        loading.imported(found.find("task", "raises"))


@pytest.mark.parametrize("value", ["no_such_module_here", "no_such.module_here"])
def test_an_entry_point_to_nowhere_is_broken_and_says_so(installed, value):
    (entry,) = installed(value, "ssm_bench.models").broken()

    assert "no_such" in entry.error


def test_an_entry_point_may_name_a_single_module(package, installed):
    found = installed(f"{package}.words.copy_back")

    assert [entry.module for entry in found.of("task").values()] == ["acme.words.copy_back"]


def test_who_asks_for_a_broken_plugin_is_told_what_is_wrong_with_it(package, installed):
    with pytest.raises(SpecError, match=r"The task 'broken' from acme.* is broken: SyntaxError"):
        installed(package).find("task", "broken")


def test_the_second_of_two_plugins_with_one_name_is_reported(file):
    first, second = (str(file(f"{folder}/twin.py", MODEL)) for folder in "ab")

    found = registry.registry((first, second))

    assert found.of("model")["twin"].origin == first
    assert f"is taken by {first}" in found.broken()[0].error


def test_a_plugin_file_gives_a_recipe_with_its_files_name(file):
    path = file("my_model.py", MODEL)

    recipe = build("model", "my-model[size=5]", (str(path),))

    assert (recipe.name, recipe.size) == ("my-model", 5)
    assert chosen(recipe) == "my-model@1[size=5]"
    assert chosen(build("model", "my-model", (str(path),))) == "my-model@1"


def test_a_plugin_file_that_does_not_exist_is_a_users_mistake():
    with pytest.raises(SpecError, match=r"no plugin file 'nowhere\.py'"):
        registry.registry(("nowhere.py",))


def test_a_plugin_file_without_a_recipe_says_what_it_needs(file):
    path = file("empty_plugin.py", '"""Nothing."""')

    (entry,) = [e for e in registry.registry((str(path),)).entries if e.name == "empty-plugin"]

    assert "no class that derives from one of Model" in entry.error


def test_two_recipes_in_one_file_are_refused(file):
    path = file("double.py", MODEL + MODEL.replace("Recipe", "Other").split("\n", 2)[2])

    with pytest.raises(BrokenPluginError, match=r"exactly one recipe class.*Recipe, Other"):
        build("model", "double", (str(path),))


def test_a_recipe_that_is_not_whole_is_told_what_it_lacks(file):
    path = file("half.py", MODEL.replace("def build", "def built"))

    with pytest.raises(BrokenPluginError, match=r"found: none; Recipe lacks build\.$"):
        build("model", "half", (str(path),))


def test_a_module_that_others_only_share_is_told_how_to_be_called(
    file, installed, monkeypatch, tmp_path
):
    file("beta/__init__.py", "")
    file("beta/shared.py", '"""What others share."""')
    monkeypatch.syspath_prepend(tmp_path)
    found = installed("beta", "ssm_bench.models")

    with pytest.raises(BrokenPluginError, match=r"name that starts with '_'\.$"):
        loading.recipe_class(found.find("model", "shared"))


@pytest.mark.parametrize(
    "decorator", ["", "@dataclass(kw_only=True)"], ids=["no dataclass", "one that can change"]
)
def test_a_recipe_that_is_no_frozen_value_is_refused(file, decorator):
    path = file("loose.py", MODEL.replace("@dataclass(frozen=True, kw_only=True)", decorator))

    with pytest.raises(BrokenPluginError, match=r"needs @dataclass\(frozen=True, kw_only=True\)"):
        build("model", "loose", (str(path),))


@pytest.mark.parametrize("default", ["", " = None", " = (1, 2)"])
def test_an_option_that_nobody_could_type_is_refused(file, default):
    path = file("rich.py", MODEL.replace("size: int = 3", f"size: object{default}"))

    with pytest.raises(BrokenPluginError, match="needs a default for the option 'size'"):
        build("model", "rich", (str(path),))


def test_of_many_names_only_those_most_like_it_are_told():
    with pytest.raises(SpecError, match=r"Did you mean 's4d'\? Nearest of \d+: ") as told:
        registry.registry().find("model", "s4x4d")

    assert len(str(told.value)) < 400


def test_an_unknown_name_is_answered_with_the_near_miss():
    with pytest.raises(SpecError, match="Did you mean 'dlr'"):
        registry.registry().match("model", "dlrr")


def test_a_folder_stands_for_all_that_is_in_it():
    found = registry.registry()

    names = [str(selector) for selector in found.match("task", "synthetic")]

    assert names == [name for name in found.of("task") if name.startswith("synthetic/")]
    assert names == [str(s) for s in found.match("task", "synthetic/*")]
    assert len(names) > 2


def test_a_version_that_is_not_there_is_refused_with_the_one_that_is():
    with pytest.raises(SpecError, match="has no version 99 here, but 1"):
        build("task", "synthetic/shift@99")


def test_equal_recipes_are_equal_and_hash_alike():
    one, two = build("model", "s4d[state=16]"), build("model", "s4d[state=16]")

    assert one == two
    assert hash(one) == hash(two)
    assert one != build("model", "s4d")


def test_a_recipe_is_named_by_its_version_and_what_is_no_default():
    task = build("task", "synthetic/shift[length=64]")

    assert chosen(task) == "synthetic/shift@1[length=64]"
    assert chosen(task).label == "synthetic/shift[length=64]"
    assert options(task) == {"length": 64, "shifts": 8}
    assert build("task", chosen(task)) == task


def test_a_class_has_its_name_before_anything_loads_it():
    code = (
        "from suites.synthetic.shift import Shift\n"
        "from baselines.linear_attention import LinearAttention\n"
        "from harness.plugins.loading import load_task\n"
        "before = Shift(length=8).split('test').inputs\n"
        "assert (Shift.name, LinearAttention.name) == ('synthetic/shift', 'linear-attention')\n"
        "assert (load_task('synthetic/shift[length=8]').split('test').inputs == before).all()\n"
        "assert (Shift(length=8).split('test').inputs == before).all()"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_file_is_loaded_as_it_stands_even_after_an_edit_within_one_second(file):
    path = file("edited.py", MODEL)
    first = build("model", "edited", (str(path),))
    path.write_text(path.read_text().replace("size: int = 3", "size: int = 4"))
    del sys.modules[type(first).__module__]

    assert build("model", "edited", (str(path),)).size == 4


def test_names_are_known_without_torch():
    code = (
        "import sys\nfrom harness.plugins.registry import registry\n"
        "assert registry().of('model') and registry().of('task')\n"
        "assert 'torch' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
