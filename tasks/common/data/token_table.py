"""Pairs of texts as token ids, made once by all cores and mapped from the cache."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tasks.common.console import stage
from tasks.common.data.mapped_tables import MAX_ROWS_IN_MEMORY, hash_rows, make_table, map_table, row_ranges

if TYPE_CHECKING:
    import datasets
    import pyarrow

VERSION = 1  # of the cached ids; increase it when their form changes
MAX_SMALL_ID = 2**16 - 1

Encode = Callable[[list[str]], list[list[int]]]  # texts to their token ids, without BOS and EOS; by all cores


def has_texts(examples: "datasets.Dataset") -> bool:
    """Tell whether a source and a target of examples are a text each, and not precomputed or several."""
    import datasets

    return all(examples.features[name] == datasets.Value("string") for name in ("source", "target"))


def tokenize_pairs(
    examples: "datasets.Dataset", encoders: Mapping[str, Encode], vocab_size: int, settings: Callable[[], object]
) -> "datasets.Dataset":
    """Turn texts into token ids.

    Args:
        examples: The columns source and target, a text each.
        encoders: Makes the ids of each of the two.
        vocab_size: The size of the larger vocabulary.
        settings: Returns all that the ids depend on besides the texts, in JSON's types.

    Returns:
        The columns source, a list of ids, target, a list with the ids of its one sentence, and their lengths with EOS,
        length and target_length.
    """
    import pyarrow

    ids = pyarrow.list_(pyarrow.uint16() if vocab_size <= MAX_SMALL_ID + 1 else pyarrow.int32())
    schema = pyarrow.schema(
        {
            "source": ids,
            "target": pyarrow.list_(ids),
            "length": pyarrow.int32(),
            "target_length": pyarrow.int32(),
        }
    )
    texts = examples.select_columns(["source", "target"])

    def make_batches() -> "Iterator[pyarrow.RecordBatch]":
        with stage("tokenizing", len(texts)) as advance:
            for rows in row_ranges(len(texts)):
                columns: Any = texts[rows]
                source, target = (encoders[name](columns[name]) for name in ("source", "target"))
                lengths = [[len(each) + 1 for each in side] for side in (source, target)]
                yield pyarrow.record_batch([source, [[each] for each in target], *lengths], schema)
                advance(len(source))

    if len(texts) <= MAX_ROWS_IN_MEMORY:
        return make_table(schema, make_batches())
    key = hashlib.sha256(json.dumps([VERSION, hash_rows(texts), settings()], sort_keys=True).encode())
    return map_table(f"tokens-{key.hexdigest()[:24]}", schema, make_batches)
