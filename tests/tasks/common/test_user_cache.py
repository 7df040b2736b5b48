"""The cache folder is the operating system's, and a temporary one for a user without a home."""

import os
import sys
import tempfile
from pathlib import Path

import pytest

from tasks.common import user_cache
from tasks.common.errors import UsageError


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.parametrize(
    ("platform", "folder"), [("linux", ".cache"), ("darwin", "Library/Caches"), ("win32", "AppData/Local")]
)
def test_each_operating_system_has_its_folder(platform, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    assert user_cache.user_cache() == tmp_path / "home" / folder


def test_the_environment_names_another_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert user_cache.user_cache() == tmp_path / "local"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "named"))
    assert user_cache.user_cache() == tmp_path / "named"


def test_a_home_that_can_be_written_is_used_in_silence(capsys):
    user_cache.prepare_user_cache()
    assert "XDG_CACHE_HOME" not in os.environ
    assert capsys.readouterr() == ("", "")


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_without_a_home_the_cache_is_temporary_and_this_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    user_cache.prepare_user_cache()
    folder = user_cache.user_cache()
    assert folder.parent == tmp_path
    assert folder.is_dir()
    assert capsys.readouterr().err == (
        f"this user has no home: the cache is in {folder}; set XDG_CACHE_HOME to choose another folder\n"
    )


def test_a_home_that_cannot_be_written_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "home").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    user_cache.prepare_user_cache()
    assert user_cache.user_cache().parent == tmp_path
    assert capsys.readouterr().err.startswith(f"{tmp_path / 'home'}")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows has no numbers of users")
def test_a_temporary_folder_of_another_user_is_not_used(monkeypatch):
    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    with pytest.raises(UsageError, match="belongs to another user: set XDG_CACHE_HOME"):
        user_cache.prepare_user_cache()
