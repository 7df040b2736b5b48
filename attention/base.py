"""Attention: a query looks at a memory. The contract between a decoder and whatever it looks with.

Nothing is kept on a module between calls: what belongs to a batch travels in :class:`KeyValues`, so one attention may
serve any number of batches and beams at once.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from encoders.base import Memory


@dataclass(frozen=True)
class Segments:
    """The memory's segments (sentences, rows, frames), made ready to be looked at."""

    keys: Float[Tensor, "rows segments key"]
    mask: Bool[Tensor, "rows segments"]
    of: Int[Tensor, "rows source"]  # the segment in which each state lies

    def select(self, rows: Int[Tensor, " rows"]) -> "Segments":
        return Segments(self.keys[rows], self.mask[rows], self.of[rows])


@dataclass(frozen=True)
class KeyValues:
    """A memory made ready to be looked at: its keys are projected once for a sentence, not once for a word.

    The axis ``queries`` of a query holds whatever looks at the same memory: all the positions of a teacher-forced
    target sentence, or the hypotheses of a beam. So a beam never copies a memory.
    """

    keys: Float[Tensor, "rows source key"]
    values: Float[Tensor, "rows source value"]
    mask: Bool[Tensor, "rows source"]
    heads: int = 1  # how many neighbouring rows belong to one sentence
    segments: Segments | None = None

    @property
    def batch_size(self) -> int:
        return self.keys.size(0) // self.heads

    def select(self, sentences: Int[Tensor, " sentences"]) -> "KeyValues":
        """The lookups of some of the batch's sentences."""
        heads = torch.arange(self.heads, device=sentences.device)
        rows = (sentences[:, None] * self.heads + heads).flatten()
        segments = None if self.segments is None else self.segments.select(rows)
        return replace(self, keys=self.keys[rows], values=self.values[rows], mask=self.mask[rows], segments=segments)

    def reorder(self, rows: Int[Tensor, "sentences beam"], hypotheses: int) -> "KeyValues":
        """The lookup after State.select(rows) among so many hypotheses; a copy only if sentences are left out."""
        sentences = rows[:, 0] // (hypotheses // self.batch_size)
        return self if len(sentences) == self.batch_size else self.select(sentences)


@dataclass(frozen=True)
class SampleInfo:
    """What a draw has to answer for, where a look was drawn: see attention/hard.py."""

    log_prob: Float[Tensor, "batch queries"]
    entropy: Float[Tensor, "batch queries"]

    def parts(self) -> tuple[Tensor, Tensor]:
        return self.log_prob, self.entropy

    @classmethod
    def joined(cls, parts: "Sequence[SampleInfo | None]") -> "SampleInfo | None":
        """Of looks taken one after the other as of a sentence; None if nothing was drawn."""
        sample = [part.parts() for part in parts if part is not None]
        return cls(*(torch.cat(each, dim=1) for each in zip(*sample, strict=True))) if sample else None

    @classmethod
    def together(cls, parts: "Sequence[SampleInfo | None]") -> "SampleInfo | None":
        """Of looks that are taken at once, by several heads or layers; None if nothing was drawn."""
        sample = [part.parts() for part in parts if part is not None]
        return cls(*(torch.stack(each).sum(dim=0) for each in zip(*sample, strict=True))) if sample else None


@dataclass(frozen=True)
class AttentionOutput:
    """What looking returns: the context, and the weights it was made with (None: nothing was weighed).

    ``past`` is what the next look of the same hypothesis needs to know of its looks so far, None where it needs
    nothing: for each query, and each head if there are many, the last weights and the sum of all.
    """

    context: Float[Tensor, "batch queries dim"]
    weights: Float[Tensor, "batch queries source"] | None
    past: Float[Tensor, "batch queries ..."] | None = None
    sample: SampleInfo | None = None


class Attention(nn.Module, ABC):
    """``start`` once for each memory, then ``attend`` for each query. ``dim``: the context's features.

    Without ``past``, the queries are the first looks of one hypothesis a sentence, one after the other; with it, each
    is the next look of a hypothesis of its own.

    ``has_state``: looks need to know of those before. ``is_sequential``: and of what the last one saw, so that a
    sentence's looks cannot be taken at once.
    """

    dim: int
    has_state: bool = False
    is_sequential: bool = False

    @abstractmethod
    def start(self, memory: Memory) -> KeyValues:
        """Project the memory's states to keys."""

    @abstractmethod
    def attend(
        self,
        queries: Float[Tensor, "batch queries query"],
        lookup: KeyValues,
        past: Float[Tensor, "batch queries ..."] | None = None,
    ) -> AttentionOutput:
        """Look at the memory; weights sum to one over the real positions and are zero on padding."""

    def attend_sequence(self, queries: Float[Tensor, "batch target query"], lookup: KeyValues) -> AttentionOutput:
        """The looks of all of a sentence's positions: at once, or each after the one before where it needs that."""
        if not self.is_sequential:
            return self.attend(queries, lookup)
        glances: list[AttentionOutput] = []
        for query in queries.split(1, dim=1):
            glances.append(self.attend(query, lookup, glances[-1].past if glances else None))
        return joined(glances)

    def attend_step(
        self,
        queries: Float[Tensor, "rows query"],
        lookup: KeyValues,
        past: Float[Tensor, "rows 1 ..."] | None = None,
    ) -> AttentionOutput:
        """The next look of each hypothesis, which all become rows of the glance, with one query each.

        The beam becomes the attention's axis of queries, so that no memory is copied for it.
        """
        grid = lookup.batch_size, -1
        one_each = len(queries) == lookup.batch_size
        assert one_each or past is not None or not self.has_state, "a beam begins with one hypothesis a sentence"
        past = None if past is None else past.squeeze(1).unflatten(0, grid)
        glance = self.attend(queries.unflatten(0, grid), lookup, past)
        sample = glance.sample
        return AttentionOutput(
            glance.context.flatten(0, 1)[:, None],
            None if glance.weights is None else glance.weights.flatten(0, 1)[:, None],
            None if glance.past is None else glance.past.flatten(0, 1)[:, None],
            None if sample is None else SampleInfo(sample.log_prob.view(-1, 1), sample.entropy.view(-1, 1)),
        )


def joined(glances: Sequence[AttentionOutput]) -> AttentionOutput:
    """Looks taken one after the other as those of a sentence."""
    return AttentionOutput(
        torch.cat([glance.context for glance in glances], dim=1),
        joined_if_any([glance.weights for glance in glances]),
        joined_if_any([glance.past for glance in glances]),
        SampleInfo.joined([glance.sample for glance in glances]),
    )


def joined_if_any(parts: Sequence[Tensor | None]) -> Tensor | None:
    """Side by side along the queries; None if there are none."""
    there = [part for part in parts if part is not None]
    return torch.cat(there, dim=1) if there else None


class FixedContext(Attention):
    """The plain fixed context vector of the first sequence-to-sequence models (Cho et al. 2014).

    Every query gets the memory's summary, whatever it asks for.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim

    def start(self, memory: Memory) -> KeyValues:
        summary = memory.summary[:, None]
        return KeyValues(summary, summary, memory.mask[:, :1])

    def attend(
        self, queries: Float[Tensor, "batch queries query"], lookup: KeyValues, past: Tensor | None = None
    ) -> AttentionOutput:
        return AttentionOutput(lookup.values.expand(-1, queries.size(1), -1), None)


class NoContext(Attention):
    """Sees nothing of the memory: a context without features. Makes a decoder a language model, as the prediction
    network of a transducer is (Graves 2012)."""

    dim = 0

    def start(self, memory: Memory) -> KeyValues:
        nothing = memory.states[:, :1, :0]
        return KeyValues(nothing, nothing, memory.mask[:, :1])

    def attend(
        self, queries: Float[Tensor, "batch queries query"], lookup: KeyValues, past: Tensor | None = None
    ) -> AttentionOutput:
        return AttentionOutput(queries[..., :0], None)
