"""Data of the hub by name, configuration and revision, and those that come as a program."""

import io

import datasets
import pytest

from tasks.common.data.parallel_text import load_pairs
from tasks.common.errors import UsageError


def parquet(*sentences: str) -> bytes:
    file = io.BytesIO()
    datasets.Dataset.from_dict({"de": [f"{each} de" for each in sentences], "en": [*sentences]}).to_parquet(file)
    return file.getvalue()


SPLITS = ("train", "validation", "test")


def load(data: str, split: str = "train") -> list[str]:
    return load_pairs(data, split, "de", "en", False)["target"]


def test_a_revision_of_a_dataset_is_loaded_and_another_one_is_not_taken_for_it(hub):
    repository = hub.add(
        "ada/pairs", {f"data/{split}.parquet": parquet(f"old {split}") for split in SPLITS}, "datasets"
    )
    repository.names["v1"] = list(repository.commits)[-1]
    hub.add("ada/pairs", {f"data/{split}.parquet": parquet(f"new {split}") for split in SPLITS}, "datasets")
    assert load("ada/pairs") == ["new train"]
    assert load("ada/pairs@v1", "validation") == ["old validation"]
    assert load("ada/pairs", "test") == ["new test"]


def test_a_program_is_refused_and_the_hubs_conversion_takes_its_place(hub):
    script = {"pairs.py": b"raise SystemExit", "README.md": b""}
    repository = hub.add("ada/pairs", script, "datasets")
    with pytest.raises(UsageError, match=r"come as a program.*OWNER/NAME:CONFIGURATION@refs/convert/parquet") as caught:
        load("ada/pairs")
    assert "\n" not in str(caught.value)
    converted = {f"{name}/{split}/0000.parquet": parquet(f"{name} {split}") for name in ("a", "b") for split in SPLITS}
    repository.names["refs/convert/parquet"] = repository.commit(converted)
    repository.commit(script)
    assert load("ada/pairs:a@refs/convert/parquet", "validation") == ["a validation"]
    assert load("ada/pairs:b@refs/convert/parquet") == ["b train"]


def test_a_dataset_or_a_revision_that_is_not_there_is_one_line(hub):
    hub.add("ada/pairs", {f"data/{split}.parquet": parquet(split) for split in SPLITS}, "datasets")
    for name in ("ada/none", "ada/pairs@v2", "ada/none:a@refs/convert/parquet"):
        with pytest.raises(UsageError, match=f"^--data {name}: ") as caught:
            load(name)
        assert "\n" not in str(caught.value)
