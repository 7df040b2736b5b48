"""Ranking hypotheses by a model of the other direction: against answers that fit everything."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from datasets import Dataset

from decoders.autoregressive import AutoregressiveDecoder
from decoders.base import PAD, Hypothesis
from tasks.common.data.tables import BatchSampler
from tasks.common.errors import UsageError
from tasks.common.model import Seq2Seq
from tasks.common.task import Task


@dataclass(frozen=True)
class Reranker:
    """Maximum mutual information (Li et al. 2016), in translation known as the noisy channel: a hypothesis T for the
    source S is ranked by

        (1 - w) score(T | S) + w log p(S | T) / |S|,

    score being that of the search, and |S| the source's tokens. A sentence that fits everything tells little of S.
    """

    task: Task  # writes sources from hypotheses
    model: Seq2Seq
    weight: float

    def rank(
        self, sources: Sequence[str], ranked: Sequence[Sequence[Hypothesis]], texts: Sequence[Sequence[str]]
    ) -> list[list[Hypothesis]]:
        """Each source's hypotheses, which read as ``texts``, best first by the score of both models."""
        pairs = [(text, source) for best, source in zip(texts, sources, strict=True) for text in best]
        reverse_log_probs = iter(self.reverse_log_probs(pairs))
        return [
            sorted(
                (
                    replace(found, score=(1 - self.weight) * found.score + self.weight * next(reverse_log_probs))
                    for found in hypotheses
                ),
                key=lambda hypothesis: -hypothesis.score,
            )
            for hypotheses in ranked
        ]

    @torch.inference_mode()
    def reverse_log_probs(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """log p(source | hypothesis) / |source| of each pair of hypothesis and source."""
        decoder = self.model.decoder
        if not isinstance(decoder, AutoregressiveDecoder):
            raise UsageError("--rerank: only a model that writes token by token tells how probable a sentence is")
        hypotheses, sources = zip(*pairs, strict=True)
        examples = Dataset.from_dict({"source": hypotheses, "target": sources})
        device = next(self.model.parameters()).device
        means = [0.0] * len(pairs)
        for rows in BatchSampler(self.task.lengths(examples), self.task.config.batch, seed=0).by_length():
            batch = self.task.collate(examples, rows).to(device)
            sums = decoder.log_likelihood(batch.tokens, self.model.encode(batch))
            counts = (batch.tokens[:, 1:] != PAD).sum(dim=1)
            for row, mean in zip(rows, (sums / counts).tolist(), strict=True):
                means[row] = mean
        return means
