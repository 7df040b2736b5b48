"""Training sentences of a task that are references of another: found and left out."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tasks.common.errors import UsageError
from tasks.common.task import as_list
from tasks.common.text.normalization import normalize_text

if TYPE_CHECKING:
    import datasets


def sentences_of(references: Iterable[Sequence[str]]) -> set[str]:
    """Return all sentences of some references, as they are compared: lower-cased, without punctuation."""
    return {comparable(sentence) for own in references for sentence in own}


def without_sentences(examples: "datasets.Dataset", sentences: set[str]) -> tuple["datasets.Dataset", int]:
    """Leave sentences out of the targets and the references of examples, and examples with no other target.

    Args:
        examples: The examples, with a target or a list of targets each, and references.
        sentences: The sentences, as ``sentences_of`` returns them.

    Returns:
        The other examples, and the number of targets that were left out.

    Raises:
        UsageError: if no example remains.
    """
    targets = examples["target"]
    kept = [[text for text in as_list(target) if comparable(text) not in sentences] for target in targets]
    num_left_out = sum(len(as_list(target)) - len(own) for target, own in zip(targets, kept, strict=True))
    if not num_left_out:
        return examples, 0
    rows = [row for row, own in enumerate(kept) if own]
    if not rows:
        raise UsageError("leave_out_references leaves no training example: all are references of other tasks")
    examples, kept = examples.select(rows), [kept[row] for row in rows]
    has_lists = isinstance(targets[0], list)
    column: list[list[str]] | list[str] = kept if has_lists else [own[0] for own in kept]
    references = [[text for text in own if comparable(text) not in sentences] for own in examples["references"]]
    examples = examples.remove_columns(["target", "references"])
    return examples.add_column("target", column).add_column("references", references), num_left_out


def comparable(sentence: str) -> str:
    return normalize_text(sentence, "no_punctuation")
