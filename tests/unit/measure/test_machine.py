"""A record says what code and what machine it came from."""

import subprocess

from harness.measure import machine


def checkout(folder):
    """Make a checkout of one file; return the file, and what runs git there."""

    def git(*words):
        subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)

    file = folder / "ours.py"
    file.write_text("")
    git("init", "-q")
    git("add", "ours.py")
    git("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "first")
    return file, git


NOWHERE = {"commit": "", "dirty": None, "remote": ""}


def test_a_clean_checkout_is_clean_and_a_new_file_makes_it_dirty(tmp_path):
    file, _ = checkout(tmp_path)

    assert machine.code(file)["dirty"] is False
    (tmp_path / "new").write_text("x")
    assert machine.code(file)["dirty"] is True


def test_credentials_are_left_out_of_the_remote(tmp_path):
    file, git = checkout(tmp_path)
    git("remote", "add", "origin", "https://me:secret@example.org/a/b.git")

    assert machine.code(file)["remote"] == "example.org/a/b.git"


def test_outside_a_checkout_there_is_no_commit(tmp_path):
    assert machine.code(tmp_path / "ours.py") == NOWHERE


def test_an_environment_inside_another_project_is_not_that_project(tmp_path):
    checkout(tmp_path)
    installed = tmp_path / ".venv" / "ours.py"
    installed.parent.mkdir()
    installed.write_text("")

    assert machine.code(installed) == NOWHERE


def test_what_the_environment_says_of_git_does_not_count(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "other").mkdir()
    file, _ = checkout(tmp_path / "mine")
    other, git = checkout(tmp_path / "other")
    git("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--allow-empty", "-qm", "more")
    commits = machine.code(file)["commit"], machine.code(other)["commit"]
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))

    assert commits[0] != commits[1]
    assert machine.code(file)["commit"] == commits[0]


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")

    assert machine.code(tmp_path / "ours.py") == NOWHERE


def test_children_get_their_threads_from_the_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    pinned = machine.pinned_environment()

    assert pinned["OMP_NUM_THREADS"] == "1"
    assert "MKL_NUM_THREADS" in pinned


def test_children_spin_for_a_moment_only_unless_the_environment_says_how_they_wait(monkeypatch):
    for name in machine.WAITING:
        monkeypatch.delenv(name, raising=False)
    assert machine.pinned_environment()["GOMP_SPINCOUNT"] == machine.SPINS

    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert machine.waiting() == "OMP_WAIT_POLICY=active"
    assert "GOMP_SPINCOUNT" not in machine.pinned_environment()
