"""The contract between a task and everything generic: training, search, evaluation, prediction."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import datasets
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.data import Dataset

from decoders.base import PAD, Constraint
from encoders.base import Encoder, SourceBatch
from tasks.common.config import Config
from tasks.common.data import cache
from tasks.common.data.tables import Batch
from tasks.common.errors import UsageError
from tasks.common.metrics.base import Metric, SelectionMetric
from tasks.common.model import Seq2Seq, build_model
from tasks.common.text.tokenizer import Tokenizer, frame, pad, strip_newlines

C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class InputSegment:
    """Part of an input to ``predict``, or all of it: a source, and the seconds it spans, if it takes time."""

    source: Any
    span: tuple[float, float] | None = None


class Task(ABC, Generic[C]):
    """A modality's way to the shared decoder. A new one is a folder with a subclass of this, and an encoder.

    A task is made with its configuration, then either ``fit`` to training data or ``restore``d from a run folder;
    both give it the ``vocabulary`` of its target sentences.
    """

    metrics: tuple[Metric, ...]  # the most important one first; set by the subclass' __init__
    tokenizer: Tokenizer
    frame_duration_s: float | None = None  # of what source_lengths counts, where sources take time
    likelihood: bool = False  # whether how probable the references are says much, so that evaluate tells perplexity
    open_ended: bool = False  # whether too many sentences are right for any metric to tell how good one is
    picky: bool = False  # whether ``possible`` says no to anything
    expects_monotonic_alignment: bool = (
        False  # whether source and target run side by side, so that attention should be a diagonal
    )

    def __init__(self, config: C):
        self.config = config

    @property
    def selection_metric(self) -> SelectionMetric:
        """What of the validation split picks the checkpoint: the first metric, or the loss."""
        return SelectionMetric("loss", higher_is_better=False) if self.open_ended else self.metrics[0].selection_metric

    def metrics_for(self, examples: datasets.Dataset) -> tuple[Metric, ...]:
        """The metrics, and those that need more of these very examples than their references."""
        return self.metrics

    @abstractmethod
    def load(self, split: str) -> datasets.Dataset:
        """The examples of a split, checked: columns source, target and references (several right sentences).

        A target is a sentence, or a list of sentences that are all learned.
        Where sources are costly to read, a column length tells what source_lengths would.
        Raises UsageError for data that is missing or bad.
        """

    @abstractmethod
    def fit(self, examples: datasets.Dataset) -> None:
        """Learn from the training examples what the task must know before training: vocabularies, statistics."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """What ``fit`` has learned, ready for the run folder's vocabulary.json."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The reverse of ``state``."""

    @abstractmethod
    def build_encoder(self) -> Encoder:
        """The encoder of the modality."""

    @abstractmethod
    def source_lengths(self, sources: Sequence[Any]) -> list[int]:
        """How long each source is in what the encoder reads: tokens, frames."""

    @abstractmethod
    def collate_sources(self, sources: Sequence[Any], training: bool) -> SourceBatch:
        """Raw sources as one padded batch; ``training`` allows augmentation."""

    def source_key(self, source: Any) -> str:
        """Another text if what ``read`` makes of the source may be other."""
        return repr(source)

    def read(self, sources: Sequence[Any], training: bool) -> SourceBatch:
        """Sources as one batch, be they raw or, as bytes, what a frozen encoder made of them (tasks/frozen.py)."""
        if isinstance(sources[0], bytes):
            states = cache.stack([cache.unpack(source) for source in sources])
            return SourceBatch(states.values, states.mask, precomputed=True)
        return self.collate_sources(sources, training)

    @abstractmethod
    def parse(self, arguments: Sequence[str]) -> list[list[InputSegment]]:
        """The inputs typed after ``predict``, each in one piece or cut into several in their order.

        No piece for an input that can't be used, after saying why.
        """

    @abstractmethod
    def render(self, source: Any, hypothesis: list[int], weights: Float[Tensor, "target source"], path: Path) -> None:
        """Draw into ``path`` where the model looked while it wrote each token and, if it writes one, the end."""

    def written(self, tokens: Sequence[int]) -> str:
        """The line of text that a hypothesis stands for."""
        return strip_newlines(self.tokenizer.decode(tokens))

    def constraint(self, sources: Sequence[Any], form: str, device: torch.device) -> Constraint | None:
        """What the sentences for ``sources`` must keep to, if ``form`` asks for it (SearchConfig).

        Raises UsageError for a form that this task does not know.
        """
        if form != "free":
            raise UsageError(f"--form {form}: only verse has a form; leave it out")
        return None

    def possible(self, source: Any, text: str) -> bool:
        """Whether ``text`` can stand there at all. Of a beam, or of several draws, what can comes before what can't."""
        return True

    def is_reverse_of(self, other: "Task") -> bool:
        """Whether this task writes what the other one reads, from what that one writes."""
        return False

    def export(self, source: Any, path: Path) -> None:
        """Write a source of the embedded world as a file that predict reads, where it is a file at all; ``path`` is
        its name without the suffix."""

    def listing(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> str:
        """What a person should see of a split's hypotheses beside the scores; nothing if empty."""
        return ""

    def baselines(self, examples: datasets.Dataset) -> dict[str, list[str]]:
        """What would be written by a rule that needs no model, by the rule's name: what a model has to beat."""
        return {}

    def diversity(self, hypotheses: Sequence[str]) -> dict[str, float]:
        """How much of a language the hypotheses use, where there is no one right answer; nothing if empty."""
        return {}

    def lengths(self, examples: datasets.Dataset) -> list[tuple[int, int]]:
        """Lengths of each source and of its (longest) target, in tokens with the end of sentence counted."""
        several = [as_list(target) for target in examples["target"]]
        sizes = iter(self.tokenizer.encode([target for given in several for target in given]))
        targets = [max(len(next(sizes)) + 1 for _ in given) for given in several]
        known = "length" in examples.column_names
        sources = examples["length"] if known else self.source_lengths(examples["source"])
        return list(zip(sources, targets, strict=True))

    def collate(self, examples: datasets.Dataset, rows: list[int], training: bool = False) -> Batch:
        """Some rows as one batch; ``training`` allows augmentation."""
        columns = examples[rows]
        dropout = self.config.vocabulary.dropout if training else 0.0
        several = [as_list(target) for target in columns["target"]]
        count = self.config.batch.targets
        if training and count:
            several = [[given[pick] for pick in torch.randperm(len(given))[:count].tolist()] for given in several]
        targets = self.tokenizer.encode([target for given in several for target in given], dropout)
        source_index = torch.tensor([place for place, given in enumerate(several) for _ in given])
        return Batch(
            self.read(columns["source"], training),
            pad([frame(ids) for ids in targets]),
            rows,
            source_index if len(source_index) > len(rows) else None,
        )

    def build_model(self) -> Seq2Seq:
        """The encoder with the shared decoder. Raises UsageError for sizes that do not go together."""
        try:
            encoder = self.build_encoder()
            return build_model(encoder, self.target_embedding(encoder), self.config)
        except ValueError as error:
            raise UsageError(str(error)) from error

    def target_embedding(self, encoder: Encoder) -> nn.Embedding:
        """What target tokens are embedded with; a task whose source is text may share its encoder's."""
        return nn.Embedding(len(self.tokenizer), self.config.decoder.embedding, padding_idx=PAD)


def as_list(target: str | list[str]) -> list[str]:
    return [target] if isinstance(target, str) else target


class BatchDataset(Dataset[Batch]):
    """A data set whose items are whole batches, so that worker processes can prepare them."""

    def __init__(self, task: Task, examples: datasets.Dataset, batches: list[list[int]], seed: int):
        self.task, self.examples, self.batches, self.seed = task, examples, batches, seed

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        rows = self.batches[index]
        torch.manual_seed(self.seed * 1_000_003 + rows[0])  # what augmentation draws is the same after a resume
        return self.task.collate(self.examples, rows, training=True)
