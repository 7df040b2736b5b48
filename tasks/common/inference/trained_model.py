"""A trained run as an object: inputs in, predictions with their alignments out. The commands use it as well."""

import dataclasses
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from decoders.config import SearchConfig
from tasks.common.data.inputs import ParsedInput
from tasks.common.errors import UsageError, unknown_name
from tasks.common.hub.runs import find_run
from tasks.common.inference.domain import Domain, Familiarity, measure_with
from tasks.common.inference.input_kinds import find_part, parse_listed, unreadable
from tasks.common.inference.loading import load_parts
from tasks.common.inference.prediction import Prediction
from tasks.common.inference.predictor import Predictor
from tasks.common.run_config import task_of
from tasks.common.task_group import part_folder

PartInput = tuple[str, ParsedInput]  # an input, and the name of the part that reads it
# Segments of inputs that are generated together: few at first, so that the first results come early, and then more
# and more, so that batches have similar lengths.
FIRST_CHUNK, MAX_CHUNK, CHUNK_GROWTH = 8, 2048, 4


class TrainedModel:
    """A run, or several as an ensemble, that generates sentences.

    Attributes:
        predictors: The models of each part; a single task has one with an empty name.
        domains: Statistics of each part's validation split, where the run has them.
    """

    def __init__(self, predictors: Mapping[str, Predictor], domains: Mapping[str, Domain | None]):
        self.predictors, self.domains = predictors, domains

    @classmethod
    def from_run(cls, run: Path, predictors: Mapping[str, Predictor]) -> "TrainedModel":
        """Take the models that were loaded from a run, and the run's statistics of its validation data."""
        return cls(predictors, {name: Domain.load(part_folder(run, name)) for name in predictors})

    @property
    def tasks(self) -> list[str]:
        """The names of the tasks of a joint model; one empty name for a single task."""
        return list(self.predictors)

    @property
    def has_alignment(self) -> bool:
        """Return whether the decoder, which is that of all tasks, has alignments to plot."""
        return next(iter(self.predictors.values())).models[0].decoder.has_alignment

    @property
    def has_word_times(self) -> bool:
        """Return whether words have times, in inputs of some task that have a duration."""
        return any(predictor.has_word_times for predictor in self.predictors.values())

    def plot(self, prediction: Prediction, path: Path | str) -> bool:
        """Plot the alignment of a prediction: see ``Prediction.plot``."""
        return prediction.plot(path)

    def to(self, device: str | torch.device) -> "TrainedModel":
        """Move the models to a device, and return this object."""
        for predictor in self.predictors.values():
            for model in predictor.models:
                model.to(device)
        return self

    def __call__(self, inputs: Any, *, task: str | None = None, **search: Any) -> Prediction | list[Prediction]:
        """Generate sentences.

        Args:
            inputs: An input, or a list of inputs. A text is given as it is; an image, a recording or a video by its
                path, its bytes, as an open file, or as an array (see ``file_of_value``), an image also as a PIL image.
            task: The task of a joint model that reads the inputs; needed where their kind leaves it open.
            **search: Settings of the search to use instead of the run's: ``beam=1``, ``n_best=5``.

        Returns:
            The prediction of an input; those of a list in its order. In a list, an input that can't be used has a
            ``problem`` and no sentence.

        Raises:
            UsageError: for an unknown setting or task, and for a single input that can't be used.
        """
        is_list = isinstance(inputs, list)
        parsed = [self.parse(value, task) for value in (inputs if is_list else [inputs])]
        searches = {name: self.search(name, search) for name in self.predictors}
        predictions = [prediction for chunk, _ in self.generate(parsed, searches) for _, prediction in chunk]
        if is_list:
            return predictions
        if predictions[0].problem:
            raise UsageError(f"{predictions[0].name} {predictions[0].problem}")
        return predictions[0]

    def parse(self, value: Any, task: str | None = None) -> PartInput:
        """Read an input, and find the part that reads it; one that no part reads, or several do, has a problem.

        Raises:
            UsageError: for an unknown task, and for an object of a type that is no input.
        """
        if task is not None and task not in self.predictors:
            raise unknown_name("task", task, self.predictors)
        parts = {name: predictor.task for name, predictor in self.predictors.items() if task in (None, name)}
        part, problem = find_part(value, parts)
        if part is None:
            first = next(iter(parts))
            return first, parse_listed(parts[first], unreadable(value, problem))
        return part, parts[part].parse_value(value)

    def search(self, part: str, changes: Mapping[str, Any]) -> SearchConfig:
        """Return the search settings of a part with some changes. Raises UsageError for unknown or invalid ones."""
        own = self.predictors[part].task.config.search
        known = [field.name for field in dataclasses.fields(own)]
        for name in changes:
            if name not in known:
                raise unknown_name("search setting", name, known)
        try:
            return dataclasses.replace(own, **changes)
        except ValueError as error:
            raise UsageError(str(error)) from error

    def generate(
        self, inputs: Iterable[PartInput], searches: Mapping[str, SearchConfig]
    ) -> Iterator[tuple[list[tuple[str, Prediction]], dict[str, float]]]:
        """Generate for inputs, up to some thousand at a time: those of each part together, whatever their order.

        Args:
            inputs: Each input with the name of the part that reads it; an iterator is read when its inputs are due.
            searches: The search settings of each part.

        Yields:
            The predictions of successive inputs with the names of their parts, and the seconds of each part's search.
        """
        for chunk in divide_into_chunks(inputs):
            predictions: dict[int, Prediction] = {}
            seconds: dict[str, float] = {}
            for part in dict.fromkeys(name for name, _ in chunk):
                places = [place for place, (name, _) in enumerate(chunk) if name == part]
                own = [chunk[place][1] for place in places]
                made, seconds[part] = self.generate_part(part, own, searches[part])
                predictions |= zip(places, made, strict=True)
            yield [(name, predictions[place]) for place, (name, _) in enumerate(chunk)], seconds

    def generate_part(
        self, part: str, inputs: Sequence[ParsedInput], search: SearchConfig
    ) -> tuple[list[Prediction], float]:
        """Generate for the inputs of a part, in batches of similar lengths; the seconds are those of the search."""
        predictor, domain = self.predictors[part], self.domains[part]
        sources = [segment.source for each in inputs for segment in each.segments]
        lengths = predictor.task.source_lengths(sources)
        started = time.monotonic()
        hypotheses = predictor.generate_all(sources, lengths, search)
        seconds = time.monotonic() - started
        measured = measure_with(predictor, sources, lengths, hypotheses, search) if domain else []
        ends = np.cumsum([len(each.segments) for each in inputs]).tolist()
        predictions: list[Prediction] = []
        for each, end in zip(inputs, ends, strict=True):
            own = slice(end - len(each.segments), end)
            problem = domain.problem(Familiarity.mean(measured[own])) if domain and each.segments else None
            predictions.append(Prediction(each, hypotheses[own], predictor, problem))
        return predictions, seconds


def divide_into_chunks(inputs: Iterable[PartInput]) -> Iterator[list[PartInput]]:
    """Divide inputs into chunks of segments, from a few to some thousand; see ``FIRST_CHUNK``."""
    chunk: list[PartInput] = []
    size, count = FIRST_CHUNK, 0
    for part, parsed in inputs:
        chunk.append((part, parsed))
        count += max(1, len(parsed.segments))
        if count >= size:
            yield chunk
            chunk, size, count = [], min(MAX_CHUNK, CHUNK_GROWTH * size), 0
    if chunk:
        yield chunk


def load_model(run: str | Path, device: str | torch.device | None = None) -> TrainedModel:
    """Load a run, of a single task or a joint one.

    Args:
        run: The run folder, or a run of the hub: OWNER/NAME or OWNER/NAME@REVISION.
        device: The device to compute on (None: a GPU if there is one).

    Raises:
        UsageError: for a folder that is no run, missing or broken files, and a hub that can't be reached.
    """
    folder = find_run(run)
    model = TrainedModel.from_run(folder, load_parts(task_of(folder), [folder]))
    return model if device is None else model.to(device)
