"""Data that tests of several tasks need."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.toy_world.scenes import text_pairs


@pytest.fixture(scope="session")
def save_text_pairs() -> Callable[..., None]:
    """Save the first pairs of the toy world, German and English, as parallel files: (folder, train=60, test=8)."""

    def save(folder: Path, **counts: int) -> None:
        for split, count in counts.items():
            pairs = text_pairs(split, count=count)
            for column, language in (("source", "de"), ("target", "en")):
                (folder / f"{split}.{language}").write_text("\n".join(pairs[column]) + "\n", encoding="utf-8")

    return save
