"""Data sets: where a split's rows come from, which rows are bad, and how rows become batches."""

import hashlib
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import torch
from jaxtyping import Int
from torch import Tensor

from decoders.base import PAD
from encoders.base import SourceBatch
from tasks.common.errors import UsageError, at_least, check

SPLITS = {"train": ("train", "train.100"), "validation": ("validation", "val", "valid", "dev"), "test": ("test",)}
TABLES = {".jsonl": "json", ".json": "json", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}

datasets.disable_progress_bars()
datasets.logging.set_verbosity_error()


def split_by_hash(name: str) -> str:
    """The split of something that comes without one, by a hash of its name: a tenth each is validation and test.

    What must not be in two splits shares a name: a conversation's first turn, a poem's first line, a module.
    """
    place = int(hashlib.sha256(name.strip().lower().encode()).hexdigest(), 16) % 10
    return {0: "test", 1: "validation"}.get(place, "train")


@dataclass(frozen=True)
class Batch:
    """Some examples, padded: ``tokens`` are target sentences between begin and end, ``rows`` where they came from.

    ``source_index``: which source each target belongs to, where a source may have several (None: one each, in order).
    """

    source: SourceBatch
    tokens: Int[Tensor, "targets target"]
    rows: list[int]
    source_index: Int[Tensor, " targets"] | None = None

    def to(self, device: torch.device) -> "Batch":
        tokens = self.tokens.to(device, non_blocking=True)
        source_index = None if self.source_index is None else self.source_index.to(device, non_blocking=True)
        return Batch(self.source.to(device), tokens, self.rows, source_index)

    @property
    def target_tokens(self) -> int:
        """How many real tokens are to be predicted, ends of sentences counted."""
        return int((self.tokens[:, 1:] != PAD).sum())


def read_metadata(folder: Path) -> datasets.Dataset | None:
    """A folder of media: the rows of its metadata.jsonl or .csv, with file_name made a path (None: there is no such).

    Raises UsageError if files are not named.
    """
    for name in ("metadata.jsonl", "metadata.csv"):
        file = folder / name
        if file.is_file():
            read = datasets.Dataset.from_json if name.endswith("jsonl") else datasets.Dataset.from_csv
            table = read(str(file))
            if "file_name" not in table.column_names:
                raise UsageError(f"{file} has no column file_name; it has {', '.join(table.column_names)}")
            paths = [str(folder / str(inner)) for inner in table["file_name"]]
            return table.remove_columns("file_name").add_column("file_name", paths)
    return None


def read_table(path: str, split: str) -> datasets.Dataset | None:
    """The rows of a split, as they are: from a folder of tables, a saved data set, or the hub.

    ``path`` is a folder with ``train.jsonl`` (.csv, .tsv, .parquet), a folder that ``save_to_disk`` wrote or that
    has the form of a hub repository, or a hub id with an optional configuration: ``Helsinki-NLP/opus-100:de-en``.
    None: there is no such split. Raises UsageError if nothing can be read there.
    """
    names = SPLITS[split]
    repository, _, backbone_config = path.partition(":")
    folder = Path(repository)
    if not folder.exists() and (folder.is_absolute() or path.startswith(".")):
        raise UsageError(f"--data {path}: there is no such folder")
    for name in names:
        for suffix, builder in TABLES.items():
            file = folder / f"{name}{suffix}"
            if file.is_file():
                if not file.stat().st_size:
                    raise UsageError(f"{file} is empty; a row a line is expected")
                options = {"keep_default_na": False} if builder == "csv" else {}  # "NA" and "null" are words
                options |= {"sep": "\t", "quoting": 3} if suffix == ".tsv" else {}
                table = _load(path, builder, data_files={"train": str(file)}, **options)
                if "train" not in table or not len(table["train"]):
                    raise UsageError(f"{file} is empty: it has no rows")
                return table["train"]
    if (folder / "dataset_dict.json").is_file():
        saved = datasets.load_from_disk(path)
        found = next((saved[name] for name in names if name in saved), None)
        return found
    if folder.is_dir() and not any((folder / inside).exists() for inside in ("README.md", "data")):
        return None
    try:
        available = _load(path, repository, backbone_config or None)
    except UsageError as error:
        if folder.is_dir() and isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
    return next((available[name] for name in names if name in available), None)


def _load(path: str, *arguments: Any, **options: Any) -> Any:
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it tells of each attempt; the last one is enough
    logging.getLogger("datasets").setLevel(logging.CRITICAL)  # and it of what is said below
    try:
        return datasets.load_dataset(*arguments, **options)
    except Exception as error:  # datasets raises a different kind for each format and each network fault
        cause = error.__cause__ or error  # the outer one may only say that there is an inner one
        reason = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        if "no data" in reason:
            raise UsageError(f"--data {path}: a table is empty: it has no rows") from error
        raise UsageError(
            f"--data {path}: neither a folder with readable data nor a hub data set that can be reached ({reason})"
        ) from error


def report_invalid_rows(problems: dict[int, str], total: int, where: str, skip: bool) -> None:
    """Say all that is wrong at once. Raises UsageError unless the bad rows are to be skipped."""
    if not problems:
        return
    shown = [f"row {row + 1} {problem}" for row, problem in sorted(problems.items())[:8]]
    more = f" and {len(problems) - len(shown)} more" if len(problems) > len(shown) else ""
    listing = f"{where}: {len(problems)} of {total} rows are bad: {'; '.join(shown)}{more}"
    if not skip:
        raise UsageError(f"{listing}. Mend them, or leave them out with --skip-invalid")
    print(f"{listing}. They are left out.", file=sys.stderr)


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """How many examples share a batch. A source is measured in what its encoder reads: tokens, frames."""

    tokens: int = 4096
    """Upper bound of the targets' size with their padding: sentences times the longest."""
    frames: int = 4096
    """Upper bound of the sources' size with their padding."""
    sentences: int = 128
    """Upper bound of the number of sources."""
    targets: int = 0
    """Where a source has several targets: how many of them are drawn each time that training sees it (0: all)."""

    max_length: int = 256
    """Training leaves out longer targets."""
    max_frames: int = 256
    """Training leaves out longer sources."""

    def __post_init__(self):
        allowed = at_least(1, self, "tokens", "frames", "sentences", "max_length", "max_frames")
        check("batch", self, allowed | at_least(0, self, "targets"))


class BatchSampler:
    """Which rows share a batch, in an order that depends on seed and epoch alone: a resumed run sees the same.

    Rows are shuffled; pools of many batches are sorted by length, so that like lengths stand together and little is
    padded; each pool is cut into batches and the batches are shuffled again.
    """

    POOL = 256  # batches a pool: sorted enough, and random enough

    def __init__(self, lengths: Sequence[tuple[int, int]], config: BatchConfig, seed: int, limited: bool = False):
        """``lengths``: of source and target, for each row; ``limited`` leaves out what is longer than allowed."""
        self.lengths = torch.tensor(lengths, dtype=torch.long).view(-1, 2)
        limits = torch.tensor([config.max_frames, config.max_length])
        fits = (self.lengths <= limits).all(dim=1) | (not limited)
        self.rows = fits.nonzero().squeeze(1)
        self.num_skipped = len(fits) - len(self.rows)
        self.config = config
        self.seed = seed

    def epoch(self, number: int) -> list[list[int]]:
        """The batches of epoch ``number``, each a list of rows."""
        generator = torch.Generator().manual_seed(self.seed * 100_003 + number)
        shuffled = self.rows[torch.randperm(len(self.rows), generator=generator)]
        pools = shuffled.split(self.POOL * self.config.sentences)
        batches = [batch for pool in pools for batch in self.cut(pool)]
        return [batches[index] for index in torch.randperm(len(batches), generator=generator)]

    def by_length(self) -> list[list[int]]:
        """All rows once, like lengths together: for evaluation, where the order does not matter."""
        return list(self.cut(self.rows))

    def cut(self, rows: Int[Tensor, " rows"]) -> Iterator[list[int]]:
        if len(rows) == 0:
            return
        source, target = self.lengths[rows].T
        order = (source * (target.max() + 1) + target).argsort(stable=True)
        lengths = self.lengths[rows].tolist()
        batch: list[int] = []
        widest = 0, 0
        for index in order.tolist():
            widest = max(widest[0], lengths[index][0]), max(widest[1], lengths[index][1])
            size = len(batch) + 1
            too_large = size * widest[0] > self.config.frames or size * widest[1] > self.config.tokens
            if batch and (too_large or size > self.config.sentences):
                yield batch
                batch, widest = [], tuple(lengths[index])
            batch.append(int(rows[index]))
        if batch:
            yield batch
