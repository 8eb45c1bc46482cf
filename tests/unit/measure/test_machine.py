"""A record says what code and what machine it came from."""

import subprocess

from harness.measure import machine


def repository(folder):
    def git(*words):
        subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)

    git("init", "-q")
    git("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--allow-empty", "-qm", "first")
    return git


def test_a_clean_checkout_is_clean_and_a_new_file_makes_it_dirty(tmp_path):
    repository(tmp_path)

    assert machine.git(tmp_path)["dirty"] is False
    (tmp_path / "new").write_text("x")
    assert machine.git(tmp_path)["dirty"] is True


def test_credentials_are_left_out_of_the_remote(tmp_path):
    git = repository(tmp_path)
    git("remote", "add", "origin", "https://me:secret@example.org/a/b.git")

    assert machine.git(tmp_path)["remote"] == "example.org/a/b.git"


def test_outside_a_checkout_there_is_no_commit(tmp_path):
    assert machine.git(tmp_path) == {"commit": "", "dirty": None, "remote": ""}


def test_children_get_their_threads_from_the_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    pinned = machine.pinned_environment()

    assert pinned["OMP_NUM_THREADS"] == "1"
    assert "MKL_NUM_THREADS" in pinned
