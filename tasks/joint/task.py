"""Several tasks with one model: an encoder for each, and one decoder that generates the sentences of all."""

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tasks
from encoders.base import Encoder
from tasks.common.console import console
from tasks.common.data.mapped_tables import read_in_ranges
from tasks.common.errors import MissingSplitError, UsageError
from tasks.common.metrics.base import SelectionMetric
from tasks.common.model import JointModel, Model, build_decoder_for
from tasks.common.task import Task, as_list, vocabulary_sample
from tasks.common.task_group import TaskGroup, naming_part
from tasks.common.text.tokenizer import Tokenizer
from tasks.common.text.words import split_words
from tasks.joint.config import JointConfig
from tasks.joint.overlap import sentences_of, without_sentences
from tasks.joint.trained_encoders import TrainedEncoder, find_trained_encoders

if TYPE_CHECKING:
    import datasets

MIN_SHARED_WORDS = 0.1  # share of a task's words that another one must have as well, to be of one language


class JointTask(TaskGroup[JointConfig]):
    """Tasks that are trained together, each step on one of them.

    Attributes:
        trained_encoders: Encoders of single runs to begin with, by the names of the tasks.
    """

    def __init__(self, config: JointConfig):
        """Raises UsageError for a configuration without tasks."""
        if not config.parts:
            raise UsageError("a joint model needs one task or more; choose a preset")
        self.config = config
        self.parts = {name: tasks.task_class(name)(part) for name, part in config.parts.items()}
        self.trained_encoders: dict[str, TrainedEncoder] = {}

    def start_from(self, runs: Sequence[Path]) -> None:
        """Begin with the encoders of runs of single tasks. Raises UsageError for runs that don't fit."""
        self.trained_encoders = find_trained_encoders(runs, self.config)

    @property
    def tokenizer(self) -> Tokenizer:
        return next(iter(self.parts.values())).tokenizer

    @property
    def selection_metric(self) -> SelectionMetric:
        return SelectionMetric("mean score", higher_is_better=True)

    def share(self, tokenizer: Tokenizer) -> None:
        """Give all parts the tokenizer of the target sentences."""
        for part in self.parts.values():
            part.tokenizer = tokenizer

    def load(self, split: str) -> dict[str, "datasets.Dataset"]:
        loaded = super().load(split)
        if split != "train" or not self.config.leave_out_references:
            return loaded
        references = {name: references_of(part) for name, part in self.parts.items()}
        for name, own in loaded.items():
            others = set().union(*(known for other, known in references.items() if other != name))
            loaded[name], num_left_out = without_sentences(own, others)
            console.print(
                f"{name}: {num_left_out:,} training sentences left out, which are references of the other tasks"
            )
        return loaded

    def fit(self, examples: "Mapping[str, datasets.Dataset]") -> None:
        check_language({name: vocabulary_sample(own)["target"] for name, own in examples.items()})
        texts = chain.from_iterable(part.vocabulary_texts(examples[name]) for name, part in self.parts.items())
        self.share(Tokenizer.train(texts, self.config.vocabulary))
        for name, part in self.parts.items():
            if name in self.trained_encoders:
                part.load_source_state_dict(self.trained_encoders[name].source_state)
            else:
                with naming_part(name):
                    part.fit_sources(examples[name])

    def state_dict(self) -> dict[str, Any]:
        sources: dict[str, Any] = {}
        for name, part in self.parts.items():
            with naming_part(name):
                sources[name] = part.source_state_dict()
        return {"target": self.tokenizer.state_dict(), "sources": sources}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.share(Tokenizer.from_state_dict(state["target"]))
        for name, part in self.parts.items():
            part.load_source_state_dict(state["sources"][name])

    def build_model(self) -> JointModel:
        encoders: dict[str, Encoder] = {}
        for name, part in self.parts.items():
            with naming_part(name):
                encoders[name] = part.build_projected_encoder()
        try:
            decoder = build_decoder_for([*encoders.values()], self.config, vocab_size=len(self.tokenizer))
        except ValueError as error:
            raise UsageError(str(error)) from error
        return JointModel(encoders, decoder)

    def warm_start(self, model: Model) -> None:
        for name, trained in self.trained_encoders.items():
            trained.load_into(model.part(name).encoder)

    def shares(self, num_batches: Mapping[str, int]) -> dict[str, float]:
        """Return the weights if there are any; or else the sizes, made more equal by the temperature."""
        config = self.config
        drawn = [count ** (1 / config.temperature) for count in num_batches.values()]
        weights = dict(zip(num_batches, config.weights or drawn, strict=True))
        return {name: weight / sum(weights.values()) for name, weight in weights.items()}


def references_of(task: Task) -> set[str]:
    """Return the sentences that are references of a task in validation or test."""
    found = sentences_of(task.load("validation")["references"])
    with contextlib.suppress(MissingSplitError):
        found |= sentences_of(task.load("test")["references"])
    return found


def check_language(targets: Mapping[str, Sequence[list[str] | str]]) -> None:
    """Raise UsageError if the targets of a task have hardly a word in common with those of the others."""
    counts = {
        name: Counter(word for target in read_in_ranges(own) for text in as_list(target) for word in split_words(text))
        for name, own in targets.items()
    }
    for name, own in counts.items():
        others = {word for other, words in counts.items() if other != name for word in words}
        shared = sum(count for word, count in own.items() if word in others)
        if len(counts) > 1 and shared < MIN_SHARED_WORDS * own.total():
            raise UsageError(
                f"{name}: {shared / own.total():.0%} of the words of its targets are in those of the other tasks; "
                "allowed are tasks whose targets are of one language"
            )
