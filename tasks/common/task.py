"""The contract between a task and the generic code that trains, searches, evaluates and predicts."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn

from decoders.base import Constraint, Hypothesis
from decoders.config import SearchConfig
from encoders.base import Encoder, SourceBatch
from encoders.projection import ProjectedEncoder
from tasks.common.analysis.views import View
from tasks.common.config import Config
from tasks.common.data.arrays import pack_array, pad_arrays, unpack_array
from tasks.common.data.batching import Batch
from tasks.common.data.inputs import BuiltinInput, ListedInput, ParsedInput
from tasks.common.data.mapped_tables import list_lengths, read_in_ranges, read_numbers, row_ranges
from tasks.common.errors import UsageError
from tasks.common.export.inputs import ExportedInput
from tasks.common.inference.report import ReportExtras
from tasks.common.metrics.base import Metric, SelectionMetric
from tasks.common.model import Seq2Seq, build_decoder_for
from tasks.common.text.normalization import strip_newlines
from tasks.common.text.tokenizer import Tokenizer, add_bos_eos, pad_ids
from tasks.common.training.attention_monitor import AttentionMonitor

if TYPE_CHECKING:
    import datasets
MAX_VOCABULARY_EXAMPLES = 1_000_000  # more change few entries, and learning takes time and memory

C = TypeVar("C", bound=Config)


class Task(ABC, Generic[C]):
    """A modality's data, encoder and metrics. A new task is a folder with a subclass of this class.

    A task is created from its configuration, and then either ``fit`` to training examples or restored from a run
    folder by ``load_state_dict``; both set ``tokenizer``, the tokenizer of the target sentences. What they learn of the
    sources is the task's own; the tokenizer is shared by tasks that have one decoder (task_group.py).

    Attributes that are None (or, for ``report``, empty) by default are offers of some tasks to the generic code.

    Attributes:
        metrics: The metrics, the most important one first; set by the subclass.
        builtin_data: The name of the data that the task uses where ``data`` is not set.
        input_kinds: The kinds of inputs to ``predict`` that it reads: text, audio, image, video, and frames,
            a video without sound.
        is_transcription: Whether its sentences are what is said in the source, in the same order, so that their words
            have times.
        source_unit: What ``source_lengths`` counts, and what a row of a .npy file describes, in the plural.
        hub_task: The name of what it does on the Hugging Face hub, by which models are found there.
        truncation_side: The side on which long sources are cut.
        report: Additions to the evaluation report: baselines, diversity, perplexity.
        constrain: Builds a constraint on the search for a batch of sources; may raise UsageError.
        postprocess: Reranks or filters the hypotheses of a source.
        attention_monitor: Measures the attention on the validation split while training.
        source_image: Opens the image that a source is; raises ValueError for a source that is not one.
        direction: Identifies what the task reads and what it generates, so that a model of the opposite direction can
            be found for reranking.
    """

    metrics: tuple[Metric, ...]
    tokenizer: Tokenizer
    builtin_data: str = "the toy world"
    input_kinds: tuple[str, ...] = ("text",)
    is_transcription: bool = False
    source_unit: str = "tokens"
    hub_task: str = "text-generation"
    truncation_side: Literal["left", "right"] = "right"
    report: ReportExtras = ReportExtras()
    constrain: Callable[[Sequence[Any], SearchConfig, torch.device], Constraint | None] | None = None
    postprocess: Callable[[Any, list[Hypothesis]], list[Hypothesis]] | None = None
    attention_monitor: AttentionMonitor | None = None
    source_image: Callable[[Any], Image.Image] | None = None
    direction: tuple[Hashable, Hashable] | None = None

    def __init__(self, config: C):
        self.config = config

    # ── What a task must say ────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def load(self, split: str) -> "datasets.Dataset":
        """Load and check the examples of a split.

        Returns:
            The columns source, target (a sentence, or a list of sentences that are all trained on) and references (the
            list of correct sentences); and, where sources are costly to read, length, as ``source_lengths`` would
            return it.

        Raises:
            UsageError: for missing or invalid data, all invalid rows together.
        """

    @abstractmethod
    def build_encoder(self) -> Encoder:
        """Build the encoder of the modality."""

    @abstractmethod
    def source_lengths(self, sources: Sequence[Any]) -> list[int]:
        """Measure each source in the encoder's units: tokens, frames."""

    @abstractmethod
    def collate_sources(self, sources: Sequence[Any], training: bool) -> SourceBatch:
        """Pad raw sources to one batch; ``training`` allows augmentation."""

    @abstractmethod
    def parse_input(self, listed: ListedInput) -> ParsedInput:
        """Read an input of ``predict``.

        It is called when the input is due, so that sentences of the first are generated before the last is opened, and
        of several processes in the one that generates for it.
        """

    @abstractmethod
    def view_alignment(self, source: Any, weights: Float[Tensor, "target source"]) -> list[View]:
        """Return views of the attention weights of each token, and of the end if the decoder generates one.

        There is one view for each way in which a person perceives the source: for what is seen and for what is heard.
        """

    # ── What a task may say ─────────────────────────────────────────────────────────────────────────────────

    def fit_sources(self, examples: "datasets.Dataset") -> None:
        """Learn what must be known of the sources before training: a vocabulary, statistics; by default nothing."""

    def source_state_dict(self) -> dict[str, Any]:
        """Return what ``fit_sources`` has learned in JSON's types, for vocabulary.json in the run folder."""
        return {}

    def load_source_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``fit_sources`` has learned from a dictionary with the return value of ``source_state_dict``."""

    def builtin_inputs(self, count: int) -> list[BuiltinInput]:
        """Return some test inputs of the built-in data; by default the sources themselves."""
        first = self.load("test")[:count]
        pairs = zip(first["source"], first["references"], strict=True)
        return [BuiltinInput(source, texts[0]) for source, texts in pairs]

    def vocabulary_texts(self, examples: "datasets.Dataset") -> Iterable[str]:
        """Return the texts that the tokenizer of the targets is learned from: by default all targets of a sample."""
        targets = read_in_ranges(vocabulary_sample(examples)["target"])
        return (sentence for target in targets for sentence in as_list(target))

    def tokenize(self, examples: "datasets.Dataset") -> "datasets.Dataset":
        """Return examples whose texts are token ids, as ``collate`` takes them too, where these can be made once.

        Other columns than those that batches are made of are left out. By default the examples are returned unchanged.
        """
        return examples

    def exported_input(self) -> ExportedInput:
        """Describe the inputs for a model that is exported. Raises UsageError if it can't be."""
        raise UsageError("no script reads the inputs of this task, so its runs can't be exported")

    # ── What follows from it ────────────────────────────────────────────────────────────────────────────────

    def fit(self, examples: "datasets.Dataset") -> None:
        """Learn what must be known before training from the training examples: vocabularies, statistics."""
        self.tokenizer = Tokenizer.train(self.vocabulary_texts(examples), self.config.vocabulary)
        self.fit_sources(examples)

    def state_dict(self) -> dict[str, Any]:
        """Return what ``fit`` has learned in JSON's types, for vocabulary.json in the run folder."""
        return {**self.source_state_dict(), "target": self.tokenizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``fit`` has learned from the return value of ``state_dict``."""
        self.tokenizer = Tokenizer.from_state_dict(state["target"])
        self.load_source_state_dict(state)

    def list_inputs(self, arguments: Iterable[str]) -> Iterable[ListedInput]:
        """List the inputs that arguments of ``predict`` name, without reading them; by default each is one input.

        Of several processes one lists them for all; texts, and standard input, which it alone has, are listed with
        their content.
        """
        return map(ListedInput, arguments)

    def count_inputs(self, arguments: Iterable[str]) -> int | None:
        """Count the inputs that arguments of ``predict`` name, without reading them; None if that is not possible."""
        return None

    def parse_value(self, value: Any) -> ParsedInput:
        """Read an input that is an object of the program; by default the name of a file."""
        return self.parse_input(ListedInput(str(value)))

    def plot_alignment(
        self, source: Any, tokens: list[str], weights: Float[Tensor, "target source"], path: Path
    ) -> None:
        """Plot the attention weights of each token, further views of them into files with their kind in the name."""
        for number, view in enumerate(self.view_alignment(source, weights)):
            view.plot(tokens, path.with_stem(f"{path.stem}-{view.kind}") if number else path)

    @property
    def selection_metric(self) -> SelectionMetric:
        """The validation score that selects the checkpoint: by default the first metric."""
        return self.metrics[0].selection_metric

    def metrics_for(self, examples: "datasets.Dataset") -> tuple[Metric, ...]:
        """Return the metrics, including those that depend on more of the examples than their references."""
        return self.metrics

    def source_key(self, source: Any) -> str:
        """Return a text that changes whenever the collated source could change; part of cache keys."""
        return repr(source)

    def describe_source(self, source: Any) -> str:
        """Return the text of a source, or the name of its file; an empty text if it has neither."""
        if isinstance(source, dict):
            return Path(source.get("path") or "").name
        return source if isinstance(source, str) else ""

    def unknown_shares(self, sources: Sequence[Any]) -> list[float]:
        """Return the share of each source's tokens, 0 to 1, that its vocabulary lacks; 0 for media."""
        return [0.0] * len(sources)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Turn the tokens of a hypothesis into one line of text."""
        return strip_newlines(self.tokenizer.decode(tokens))

    def batch_sources(self, sources: Sequence[Any], training: bool) -> SourceBatch:
        """Pad sources to one batch, raw ones or, as bytes, the cached outputs of a frozen encoder."""
        if isinstance(sources[0], bytes):
            states = pad_arrays([unpack_array(source) for source in sources])
            return SourceBatch(states.values, states.mask, precomputed=True)
        return self.collate_sources(sources, training)

    def pack_states(self, source: Any, states: Float[np.ndarray, "states dim"]) -> bytes:
        """Pack the precomputed states of a source, as ``batch_sources`` reads them."""
        return pack_array(states)

    def raw_source(self, source: Any) -> Any:
        """Return a source as ``load`` has made it, where it may be precomputed and a task has a use for the raw one."""
        return source

    def example_lengths(self, examples: "datasets.Dataset") -> Int[np.ndarray, "examples 2"]:
        """Measure each source and its (longest) target; targets in tokens, including the end of the sentence."""
        names = examples.column_names
        if "target_length" in names:
            target_lengths = read_numbers(examples, "target_length")
        else:
            target_lengths = np.fromiter(self.longest_targets(examples), dtype=np.int64)
        if "length" in names:
            return np.stack([read_numbers(examples, "length"), target_lengths], axis=1)
        return np.stack([np.array(self.source_lengths(examples["source"]), dtype=np.int64), target_lengths], axis=1)

    def longest_targets(self, examples: "datasets.Dataset") -> Iterator[int]:
        """Yield the number of tokens of the longest target of each example, including the end of the sentence."""
        column = examples["target"]
        for rows in row_ranges(len(examples)):
            targets = [as_list(target) for target in column[rows]]
            token_ids = iter(self.tokenizer.encode([sentence for sentences in targets for sentence in sentences]))
            yield from (max(len(next(token_ids)) + 1 for _ in sentences) for sentences in targets)

    def num_targets(self, examples: "datasets.Dataset", training: bool = False) -> Int[np.ndarray, " examples"]:
        """Count the targets that a batch holds of each source; ``training`` allows the sampling of targets."""
        import datasets

        if examples.features["target"] == datasets.Value("string"):
            return np.ones(len(examples), np.int32)
        counts, sampled = list_lengths(examples, "target"), self.config.batch.targets_per_source
        return np.minimum(counts, sampled) if training and sampled else counts

    def collate(self, examples: "datasets.Dataset", rows: list[int], training: bool = False) -> Batch:
        """Pad some rows to one batch; ``training`` allows augmentation and the sampling of targets."""
        columns = examples[rows]
        dropout = self.config.vocabulary.dropout if training else 0.0
        targets = [as_list(target) for target in columns["target"]]
        count = self.config.batch.targets_per_source
        if training and count:
            targets = [[given[pick] for pick in torch.randperm(len(given))[:count].tolist()] for given in targets]
        sentences = [sentence for sentences in targets for sentence in sentences]
        is_text = isinstance(sentences[0], str)
        token_ids: Any = self.tokenizer.encode(sentences, dropout) if is_text else sentences
        source_index = torch.tensor([index for index, sentences in enumerate(targets) for _ in sentences])
        return Batch(
            self.batch_sources(columns["source"], training),
            pad_ids([add_bos_eos(ids) for ids in token_ids]),
            rows,
            source_index if len(source_index) > len(rows) else None,
        )

    def build_projected_encoder(self) -> Encoder:
        """Build the encoder, with the projection of its memories if there is one.

        Raises:
            UsageError: for settings that do not go together.
        """
        try:
            encoder, dim = self.build_encoder(), self.config.projection_dim
        except ValueError as error:
            raise UsageError(str(error)) from error
        return ProjectedEncoder(encoder, dim) if dim else encoder

    def build_model(self) -> Seq2Seq:
        """Build the encoder and the decoder.

        Raises:
            UsageError: for settings that do not go together.
        """
        encoder = self.build_projected_encoder()
        try:
            embedding = self.shared_embedding(encoder)
            decoder = build_decoder_for([encoder], self.config, vocab_size=len(self.tokenizer), embedding=embedding)
        except ValueError as error:
            raise UsageError(str(error)) from error
        return Seq2Seq(encoder, decoder)

    def warm_start(self, model: Seq2Seq) -> None:
        """Replace random weights by those of other runs, once before training. Raises UsageError if they don't fit."""

    def shared_embedding(self, encoder: Encoder) -> nn.Embedding | None:
        """Return the embedding that encoder and decoder share, if they do."""
        return None


def vocabulary_sample(examples: "datasets.Dataset") -> "datasets.Dataset":
    """Return the examples that vocabularies are learned from: of more than MAX_VOCABULARY_EXAMPLES every n-th."""
    step = math.ceil(len(examples) / MAX_VOCABULARY_EXAMPLES)
    return examples.select(range(0, len(examples), step)) if step > 1 else examples


def as_list(target: str | list[Any]) -> list[Any]:
    return [target] if isinstance(target, str) else target
