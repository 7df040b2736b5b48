"""A cached map equals the map, counts its rows while it runs, in every process, and is computed once."""

import contextlib

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
