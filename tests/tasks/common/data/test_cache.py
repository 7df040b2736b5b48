"""A cached map equals the map, counts its rows while it runs, in every process, and is computed once if it is whole."""

import contextlib
import os
import time

import numpy as np
import pytest
from datasets import Dataset

from tasks.common.data import cache
from tasks.common.data.arrays import pack_array, unpack_array


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


@pytest.mark.parametrize("has_checksum", [True, False])
@pytest.mark.parametrize("damage", ["cut short", "no table", "wrong offsets"])
def test_a_broken_cached_map_is_computed_again(damage, has_checksum, cache_folder):
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
    if not has_checksum:  # as if the process had been killed before it was saved
        cache.checksum_file(file).unlink()
    assert compute() == [str(number) for number in range(50)]


@pytest.mark.parametrize("num_proc", [None, 2])
@pytest.mark.parametrize("damaged", ["values", "checksum"])
def test_a_bit_that_has_changed_in_the_cache_is_noticed(damaged, num_proc, cache_folder):
    table = Dataset.from_dict({"number": range(50)})
    for _ in range(2):
        cache.map_cached(table, double, "test", "doubling", num_proc)
    for file in cache.cached_parts("test"):
        if damaged == "values":
            content = file.read_bytes()
            number = next(number for number in (30, 80) if number.to_bytes(8, "little") in content)
            file.write_bytes(content.replace(number.to_bytes(8, "little"), (number ^ 1).to_bytes(8, "little")))
        else:
            cache.checksum_file(file).write_bytes(b"\xff")
    assert cache.map_cached(table, double, "test", "doubling", num_proc)["twice"] == [2 * row for row in range(50)]
    assert all(cache.checksum_file(file).read_text() == cache.checksum(file) for file in cache.cached_parts("test"))


@pytest.mark.parametrize(("largest", "size"), [(60_000.0, 2), (70_000.0, 4)])
def test_arrays_beyond_half_precision_are_packed_in_single_precision(largest, size):
    matrix = np.array([[0.5, -largest], [1.0, 2.0]], dtype=np.float32)
    packed = pack_array(matrix)
    assert len(packed) == len(pack_array(matrix[:0])) + size * matrix.size
    assert np.allclose(unpack_array(packed), matrix, rtol=1e-3)


def test_files_of_killed_maps_are_removed_when_nobody_can_be_writing_them(cache_folder):
    for name, age_s in (("tmpold", cache.ABANDONED_S + 60), ("tmpnew", 60)):
        (cache_folder / name).touch()
        changed = time.time() - age_s
        os.utime(cache_folder / name, (changed, changed))
    cache.cached_file("test")
    assert [file.name for file in cache_folder.iterdir()] == ["tmpnew"]
