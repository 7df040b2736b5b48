"""A cached map equals the map, counts its rows while it runs, in every process, and is computed once if it is whole."""

import contextlib
import os
import time

import pytest
from datasets import Dataset

from tasks.common.data import cache


def double(row):
    return {"twice": 2 * row["number"]}


def double_all(columns):
    return {"twice": [2 * number for number in columns["number"]]}


@pytest.mark.parametrize(("function", "batched", "num_proc"), [(double, False, None), (double_all, True, 2)])
def test_a_map_is_cached_and_its_rows_are_counted(function, batched, num_proc, monkeypatch):
    counted: list[int] = []

    @contextlib.contextmanager
    def stage(title, total):
        assert (title, total) == ("doubling", 50)
        yield counted.append

    monkeypatch.setattr(cache, "stage", stage)
    table = Dataset.from_dict({"number": range(50)})
    for _ in range(2):
        result = cache.map_cached(table, function, f"test-{batched}", "doubling", num_proc, batched=batched)
        assert result["twice"] == [2 * number for number in range(50)]
    assert sum(counted) == 50


@pytest.fixture
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache.cache_dir()


@pytest.mark.parametrize("damage", ["cut short", "no table", "wrong offsets"])
def test_a_broken_cached_map_is_computed_again(damage, cache_folder):
    table = Dataset.from_dict({"number": range(50)})

    def compute() -> list[str]:
        return cache.map_cached(table, lambda row: {"name": str(row["number"])}, "test", "naming")["name"]

    compute()
    file = cache_folder / "test.arrow"
    content = bytearray(file.read_bytes())
    match damage:
        case "cut short":
            del content[-1]
        case "no table":
            content[0] ^= 1
        case "wrong offsets":
            place = content.index((1).to_bytes(4, "little") + (2).to_bytes(4, "little") + (3).to_bytes(4, "little"))
            content[place : place + 4] = (1 << 30).to_bytes(4, "little")
    file.write_bytes(content)
    assert compute() == [str(number) for number in range(50)]


def test_files_of_killed_maps_are_removed_when_nobody_can_be_writing_them(cache_folder):
    for name, age_s in (("tmpold", cache.ABANDONED_S + 60), ("tmpnew", 60)):
        (cache_folder / name).touch()
        changed = time.time() - age_s
        os.utime(cache_folder / name, (changed, changed))
    cache.cached_file("test")
    assert [file.name for file in cache_folder.iterdir()] == ["tmpnew"]
