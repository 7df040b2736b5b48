"""Rerank hypotheses with a model of the opposite direction, against outputs that fit every source."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from decoders.base import PAD, Hypothesis
from tasks.common.data.batching import BatchSampler
from tasks.common.errors import UsageError
from tasks.common.model import Seq2Seq
from tasks.common.task import Task


@dataclass(frozen=True)
class Reranker:
    """Maximum mutual information (Li et al. 2016), in translation known as the noisy channel model.

    A hypothesis T for the source S is ranked by

        (1 - w) score(T | S) + w log p(S | T) / |S|,

    with the score of the search, and |S| the number of source tokens. A sentence that fits every source says little
    about S.

    Attributes:
        task: The task that generates sources from hypotheses.
        model: Its model.
        weight: w, from 0 to 1.
    """

    task: Task
    model: Seq2Seq
    weight: float

    def rank(
        self, sources: Sequence[str], ranked: Sequence[Sequence[Hypothesis]], texts: Sequence[Sequence[str]]
    ) -> list[list[Hypothesis]]:
        """Sort the hypotheses of each source, whose texts are ``texts``, by the scores of both models."""
        pairs = [(text, source) for best, source in zip(texts, sources, strict=True) for text in best]
        reverse = iter(self.reverse_log_probs(pairs))
        return [
            sorted(
                (
                    replace(hypothesis, score=(1 - self.weight) * hypothesis.score + self.weight * next(reverse))
                    for hypothesis in hypotheses
                ),
                key=lambda hypothesis: -hypothesis.score,
            )
            for hypotheses in ranked
        ]

    @torch.inference_mode()
    def reverse_log_probs(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Compute log p(source | hypothesis) / |source| of each pair of a hypothesis and a source."""
        import datasets

        decoder = self.model.decoder
        if not decoder.is_label_synchronous:
            raise UsageError(
                "reranking needs the likelihood of a sentence, so a label-synchronous decoder (one that predicts "
                "token by token): decoder.kind recurrent, transformer or s2vt"
            )
        hypotheses, sources = zip(*pairs, strict=True)
        examples = datasets.Dataset.from_dict({"source": hypotheses, "target": sources})
        device = next(self.model.parameters()).device
        means = [0.0] * len(pairs)
        for rows in BatchSampler(self.task.example_lengths(examples), self.task.config.batch, seed=0).by_length():
            batch = self.task.collate(examples, rows).to(device)
            sums = decoder.log_likelihood(batch.tokens, self.model.encode(batch))
            counts = (batch.tokens[:, 1:] != PAD).sum(dim=1)
            for row, mean in zip(rows, (sums / counts).tolist(), strict=True):
                means[row] = mean
        return means


def is_reverse_of(task: Task, other: Task) -> bool:
    """Tell whether ``task`` generates what ``other`` reads, from what ``other`` generates."""
    return (
        type(task) is type(other)
        and task.direction is not None
        and other.direction is not None
        and task.direction == other.direction[::-1]
    )
