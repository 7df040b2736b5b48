"""Generate sentences from raw sources with a trained model, or with several as an ensemble."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from attention.memory import Memory
from decoders.base import EOS, Decoder, Hypothesis
from decoders.config import SearchConfig
from decoders.ensemble import Ensemble, EnsembleMemory
from encoders.base import SourceBatch
from tasks.common.console import stage
from tasks.common.data.batching import BatchSampler
from tasks.common.errors import NotFiniteError, UsageError
from tasks.common.inference.reranking import Reranker
from tasks.common.inference.word_times import Span, Word, group_tokens, time_words
from tasks.common.model import Seq2Seq
from tasks.common.processes import Processes
from tasks.common.task import Task
from tasks.common.text.tokenizer import add_bos_eos, pad_ids
from tasks.common.training.precision import autocast, check_precision
from tasks.common.training.precompute import precompute_if_frozen

if TYPE_CHECKING:
    import datasets

Lengths = Int[np.ndarray, "examples 2"]  # of the source and the target of each example: see Task.example_lengths


@dataclass(frozen=True)
class Predictor:
    """Generates sentences for raw sources.

    Attributes:
        task: The task of the models.
        models: One model, or the members of an ensemble with the same target vocabulary.
        reranker: A model of the opposite direction that takes part in ranking the hypotheses.
    """

    task: Task
    models: Sequence[Seq2Seq]
    reranker: Reranker | None = None

    @property
    def device(self) -> torch.device:
        return next(self.models[0].parameters()).device

    @property
    def has_word_times(self) -> bool:
        """Return whether words have times in sources with a duration: as transcripts that have alignments."""
        return self.task.is_transcription and self.models[0].decoder.has_alignment

    def precompute_if_frozen(self, examples: "datasets.Dataset") -> "datasets.Dataset":
        """Replace the sources by the outputs of a single model's frozen encoder, from the cache if they are there."""
        return precompute_if_frozen(self.task, self.models[0], examples) if len(self.models) == 1 else examples

    def encode(self, source: SourceBatch) -> tuple[Decoder, Memory]:
        """Encode a batch, and return the decoder that goes with the memory.

        Raises:
            ValueError: if a member of an ensemble does not support it.
        """
        memories = [model.encoder(source) for model in self.models]
        if len(memories) == 1:
            return self.models[0].decoder, memories[0]
        decoders = [model.decoder for model in self.models]
        if not all(decoder.supports_ensemble for decoder in decoders):
            raise ValueError(
                "an ensemble needs label-synchronous decoders (which predict token by token): decoder.kind recurrent, "
                "transformer or s2vt"
            )
        return Ensemble(decoders), EnsembleMemory.from_members(memories)

    @torch.inference_mode()
    def generate(self, sources: Sequence[Any], config: SearchConfig) -> list[list[Hypothesis]]:
        """Generate the ``n_best`` hypotheses of each source; the sources form one batch.

        Raises:
            UsageError: for a search setting that the model cannot follow.
            NotFiniteError: for scores that are not finite.
        """
        task = self.task
        check_precision("search.precision", config.precision, self.device)
        search, raw = config, [task.raw_source(source) for source in sources]
        if self.reranker is not None or task.postprocess is not None:  # they choose among the whole beam
            search = replace(config, n_best=max(config.beam, config.n_best))
        try:
            constraint = None if task.constrain is None else task.constrain(raw, config, self.device)
            batch = task.batch_sources(sources, training=False).to(self.device)
            with autocast(config.precision, self.device):
                decoder, memory = self.encode(batch)
                ranked = decoder.search(memory, search, constraint)
        except ValueError as error:
            raise UsageError(str(error)) from error
        if not all(ranked):  # the empty sentence would be one
            raise NotFiniteError("the score of a sentence")
        if self.reranker is not None:
            if search.sample:  # then scores are sums, not divided by the length
                ranked = [[length_normalized(each, search.length_penalty) for each in best] for best in ranked]
            texts = [[task.detokenize(hypothesis.tokens) for hypothesis in best] for best in ranked]
            ranked = self.reranker.rank(raw, ranked, texts)
        if task.postprocess is not None:
            ranked = [task.postprocess(source, best) for source, best in zip(raw, ranked, strict=True)]
        return [best[: config.n_best] for best in ranked]

    def generate_all(
        self, sources: Sequence[Any], lengths: Sequence[int], config: SearchConfig
    ) -> list[list[Hypothesis]]:
        """Generate for any number of sources, in batches of similar lengths; results keep the order."""
        results: list[list[Hypothesis]] = [[] for _ in lengths]
        batches = BatchSampler([(length, 1) for length in lengths], self.task.config.batch, seed=0).by_length()
        with stage("generating sentences", len(lengths)) as advance:
            for rows in batches:
                for row, ranked in zip(rows, self.generate([sources[row] for row in rows], config), strict=True):
                    results[row] = ranked
                advance(len(rows))
        return results

    @torch.inference_mode()
    def attention_weights(self, source: Any, hypothesis: Hypothesis) -> Float[Tensor, "target source"] | None:
        """Compute the (first) model's alignment of a hypothesis and its end; None if its decoder has none.

        The hypothesis is decoded once more with teacher forcing, so that the search needs to keep no weights.
        """
        model = self.models[0]
        memory = model.encoder(self.task.batch_sources([source], training=False).to(self.device))
        tokens = pad_ids([add_bos_eos(hypothesis.tokens)]).to(self.device)
        weights = model.decoder.alignment(tokens, memory)
        return None if weights is None else weights[0].cpu()

    @torch.inference_mode()
    def word_times(
        self, sources: Sequence[Any], spans: Sequence[Span], hypotheses: Sequence[Hypothesis]
    ) -> list[list[Word]]:
        """Compute the times of the words of hypotheses, where ``has_word_times``.

        The hypotheses are decoded once more, in batches: see ``attention_weights``.

        Args:
            sources: The source of each hypothesis.
            spans: Begin and end of each source in seconds, of the input that it is part of.
            hypotheses: The hypotheses.
        """
        model, task = self.models[0], self.task
        times: list[list[Word]] = [[] for _ in sources]
        lengths = [(length, 1) for length in task.source_lengths(sources)]
        for rows in BatchSampler(lengths, task.config.batch, seed=0).by_length():
            tokens = [hypotheses[row].tokens for row in rows]
            words, groups = zip(*(group_tokens(each, task.detokenize) for each in tokens), strict=True)
            memory = model.encoder(task.batch_sources([sources[row] for row in rows], training=False).to(self.device))
            group_ids = pad_sequence([torch.tensor([-1, *each, -1]) for each in groups], True, -1).to(self.device)
            token_ids = pad_ids([add_bos_eos(each) for each in tokens]).to(self.device)
            states = model.decoder.state_spans(token_ids, group_ids, memory)
            assert states is not None, "a decoder with an alignment has spans"
            num_states = memory.mask.sum(dim=1).tolist()
            for place, row in enumerate(rows):
                own = states[place, : len(words[place])].tolist()
                times[row] = time_words(words[place], own, num_states[place], spans[row])
        return times

    def plot_alignment(self, source: Any, hypothesis: Hypothesis, path: Path) -> Float[Tensor, "target source"] | None:
        """Plot the alignment of a hypothesis into a file, and return it; None if there is nothing to plot."""
        weights = self.attention_weights(source, hypothesis) if hypothesis.tokens else None
        if weights is not None:
            tokens = self.task.tokenizer.display_tokens([*hypothesis.tokens, EOS])[: len(weights)]
            self.task.plot_alignment(source, tokens, weights, path)
        return weights


def length_normalized(hypothesis: Hypothesis, length_penalty: float) -> Hypothesis:
    """Return the hypothesis with the score that beam search would give it."""
    return replace(hypothesis, score=hypothesis.score / (len(hypothesis.tokens) + 1) ** length_penalty)


def generate_texts(
    predictor: Predictor,
    examples: "datasets.Dataset",
    lengths: Lengths,
    config: SearchConfig,
    processes: Processes,
) -> list[str]:
    """Generate the best sentence for each example, in order; the processes share the work, and all get the result."""
    for model in predictor.models:
        model.eval()
    by_length = np.argsort(lengths[:, 0], kind="stable").tolist()
    rows = processes.share(by_length)
    source_lengths = lengths[rows, 0].tolist()
    ranked = predictor.generate_all(examples.select(rows)["source"], source_lengths, config)
    texts = processes.merge([predictor.task.detokenize(best.tokens) for best, *_ in ranked])
    return [text for _, text in sorted(zip(by_length, texts, strict=True))]
