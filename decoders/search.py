"""Search: from a decoder that takes steps, and a memory, to sentences. It sees start, step and select alone."""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from decoders.base import BOS, EOS, PAD, UNK, Constraint, DecoderOutput
from decoders.search_config import Hypothesis, SearchConfig
from encoders.base import Memory

NEG_INF = float("-inf")


@runtime_checkable
class Steps(Protocol):
    """All that a search needs of a decoder: see :class:`decoders.stepwise.AutoregressiveDecoder`. States can ``select``."""

    def start(self, memory: Memory) -> Any: ...

    def step(self, tokens: Tensor, state: Any) -> tuple[DecoderOutput, Any]: ...

    def scores(self, features: Tensor) -> Tensor: ...


@torch.inference_mode()
def beam_search(
    decoder: Steps, memory: Memory, config: SearchConfig, constraint: Constraint | None = None
) -> list[list[Hypothesis]]:
    """Keep the ``beam`` best unfinished hypotheses of each sentence and extend them all at once.

    A hypothesis finishes when its end of sentence is among the ``beam`` best continuations; a sentence is done, and
    leaves the batch, with ``beam`` finished ones. Finished ones are ranked by log p / length^a plus GNMT's coverage
    penalty (Wu et al. 2016), the end of sentence counted in. At ``max_length`` all that is left must end.
    """
    state = decoder.start(memory)
    batch_size, width = memory.mask.size(0), config.beam
    tokens = torch.full((batch_size, 1, 1), BOS, device=memory.mask.device)  # (sentences, beam, length)
    scores = torch.zeros(batch_size, 1, device=tokens.device)  # log-probabilities of what is unfinished
    coverage = None  # (sentences, beam, source), with a coverage penalty
    active = torch.arange(batch_size, device=tokens.device)  # which sentences are not done
    source_mask = memory.mask
    counts = torch.zeros_like(active)  # finished hypotheses seen, of the live sentences
    finished_scores = torch.full((batch_size, width), NEG_INF, device=tokens.device)
    finished_tokens = tokens.new_full((batch_size, width, config.max_length + 1), EOS)

    for length in range(config.max_length + 1):
        readout, state = decoder.step(tokens[..., -1].flatten(), state)
        log_probabilities = decoder.scores(readout.features[:, 0])
        sentences, beam = scores.shape
        source_index = active.repeat_interleave(beam)
        mask_invalid(log_probabilities, tokens.flatten(0, 1)[:, 1:], config, constraint, source_index)
        # Each hypothesis' best continuations first, then the best of a sentence among them: nothing that could win is
        # lost, and sums are made for a few tokens instead of for the vocabulary.
        token_scores, continuations = log_probabilities.topk(min(2 * width, log_probabilities.size(1)))
        totals = (scores.flatten()[:, None] + token_scores).view(sentences, -1)  # (sentences, beam * continuations)
        best, index = totals.topk(min(2 * width, totals.size(1)))
        origin, token = index // token_scores.size(1), continuations.view(sentences, -1).take_along_dim(index, dim=1)
        rank = torch.arange(best.size(1), device=best.device)
        extended = torch.cat([tokens.take_along_dim(origin[..., None], dim=1), token[..., None]], dim=-1)

        # File away what ends here, among the best that ended before.
        ends = (token == EOS) & (rank < width) & (best > NEG_INF)
        final = best / (length + 1) ** config.length_penalty
        if config.coverage_penalty:
            if readout.weights is None:
                raise ValueError("coverage-penalty needs one model with attention; set --coverage-penalty 0")
            weights = readout.weights[:, 0].unflatten(0, (sentences, beam))
            coverage = weights if coverage is None else coverage + weights
            uncovered = coverage.clamp(1e-9, 1.0).log().masked_fill(~source_mask[:, None], 0.0).sum(dim=-1)
            final = final + config.coverage_penalty * uncovered.take_along_dim(origin, dim=1)
        candidates = torch.cat([finished_scores[active], final.masked_fill(~ends, NEG_INF)], dim=1)
        top, kept = candidates.topk(width)
        everything = torch.cat([finished_tokens[active][..., : length + 1], extended[..., 1:]], dim=1)
        finished_scores[active] = top
        finished_tokens[active, :, : length + 1] = everything.take_along_dim(kept[..., None], dim=1)
        counts = counts + ends.sum(dim=1)

        # Go on with the best that did not end, in the sentences that are not done.
        open_scores, chosen = best.masked_fill(token == EOS, NEG_INF).topk(min(width, best.size(1)))
        unfinished = ((counts < width) & (open_scores[:, 0] > NEG_INF)).nonzero().squeeze(1)
        if len(unfinished) == 0:
            break
        chosen, parents = chosen[unfinished], origin[unfinished].take_along_dim(chosen[unfinished], dim=1)
        state = state.select(parents + unfinished[:, None] * beam)
        tokens = extended[unfinished].take_along_dim(chosen[..., None], dim=1)
        scores, counts, active, source_mask = (
            open_scores[unfinished],
            counts[unfinished],
            active[unfinished],
            source_mask[unfinished],
        )
        if coverage is not None:
            coverage = coverage[unfinished].take_along_dim(parents[..., None], dim=1)

    return [
        [
            Hypothesis(strip_eos(line), score)
            for line, score in zip(lines[: config.n_best], row[: config.n_best], strict=True)
            if score > NEG_INF
        ]
        for lines, row in zip(finished_tokens.tolist(), finished_scores.tolist(), strict=True)
    ]


@torch.inference_mode()
def sample(
    decoder: Steps, memory: Memory, config: SearchConfig, constraint: Constraint | None = None
) -> list[list[Hypothesis]]:
    """Draw ``n_best`` sentences for each row of ``memory``; ``score`` is their log-probability in the model.

    Temperature, then top-k, then top-p shape what is drawn from. A finished draw reads its own end of sentence
    until all draws of its sentence are finished, and then leaves the batch.
    """
    batch_size, draws = memory.mask.size(0), config.n_best
    device = memory.mask.device
    active = torch.arange(batch_size, device=device)
    tokens = torch.full((batch_size, draws, 1), BOS, device=device)
    readout, state = decoder.step(tokens[:, 0, 0], decoder.start(memory))  # all draws of a sentence begin alike
    features = readout.features[:, 0].repeat_interleave(draws, dim=0)
    state = state.select(active[:, None].expand(-1, draws))
    scores = torch.zeros(batch_size, draws, device=device)
    results = tokens.new_full((batch_size, draws, config.max_length + 1), EOS)

    for length in range(config.max_length + 1):
        log_probabilities = decoder.scores(features)
        source_index = active.repeat_interleave(draws)
        mask_invalid(log_probabilities, tokens.flatten(0, 1)[:, 1:], config, constraint, source_index)
        sample = torch.multinomial(filter_top_k_top_p(log_probabilities, config).exp(), 1)  # (rows, 1)
        token_scores = log_probabilities.gather(1, sample)
        ended = (tokens[..., -1] == EOS).view(-1, 1)
        token = sample.masked_fill(ended, EOS).view(-1, draws)
        scores[active] += token_scores.masked_fill(ended, 0.0).view(-1, draws)
        results[active, :, length] = token
        unfinished = (token != EOS).any(dim=1).nonzero().squeeze(1)
        if len(unfinished) == 0:
            break
        tokens = torch.cat([tokens, token[..., None]], dim=-1)[unfinished]
        state = state.select(unfinished[:, None] * draws + torch.arange(draws, device=device))
        active = active[unfinished]
        readout, state = decoder.step(tokens[..., -1].flatten(), state)
        features = readout.features[:, 0]

    return [
        sorted(
            (Hypothesis(strip_eos(line), score) for line, score in zip(lines, row, strict=True)),
            key=lambda hypothesis: -hypothesis.score,
        )
        for lines, row in zip(results.tolist(), scores.tolist(), strict=True)
    ]


def mask_invalid(
    log_probabilities: Float[Tensor, "rows vocab"],
    written: Int[Tensor, "rows length"],
    config: SearchConfig,
    constraint: Constraint | None,
    sentences: Int[Tensor, " rows"],
) -> None:
    """Make impossible, in place, what may not come next after ``written``; ``sentences``: see Constraint."""
    length = written.size(1)
    ending = log_probabilities[:, EOS].clone()
    log_probabilities[:, [PAD, UNK, BOS]] = NEG_INF
    if length < config.min_length:
        log_probabilities[:, EOS] = NEG_INF
    size = config.no_repeat_ngram
    if 0 < size <= length:
        windows = written.unfold(1, size, 1)  # (rows, windows, size): all n-grams so far
        prefix = written[:, length - size + 1 :]
        last = windows[..., -1]
        # An end is never a repetition. What is not repeated points at PAD, which is forbidden already.
        repeated = (windows[..., :-1] == prefix[:, None]).all(dim=-1) & (last != EOS)
        log_probabilities.scatter_(1, torch.where(repeated, last, PAD), NEG_INF)
    if constraint is not None:
        constraint(log_probabilities, written, sentences)
    if length >= config.max_length:
        log_probabilities[:, :EOS] = NEG_INF
        log_probabilities[:, EOS + 1 :] = NEG_INF
    if size or constraint is not None:
        # Where no word is left, the sentence may end before its minimum, and out of its form: it must go on somehow.
        stuck = (log_probabilities == NEG_INF).all(dim=1)
        log_probabilities[:, EOS] = torch.where(stuck, ending, log_probabilities[:, EOS])


def filter_top_k_top_p(
    log_probabilities: Float[Tensor, "rows vocab"], config: SearchConfig
) -> Float[Tensor, "rows vocab"]:
    """The log-probabilities to draw from, normalised again after temperature, top-k and top-p."""
    shaped = log_probabilities / config.temperature
    if config.top_k:
        smallest = shaped.topk(min(config.top_k, shaped.size(1))).values[:, -1:]
        shaped = shaped.masked_fill(shaped < smallest, NEG_INF)
    if config.top_p < 1.0:
        ordered, index = shaped.log_softmax(dim=-1).sort(descending=True)
        before = ordered.exp().cumsum(dim=-1) - ordered.exp()  # probability of what stands before each token
        beyond = torch.zeros_like(shaped, dtype=torch.bool).scatter(1, index, before >= config.top_p)
        shaped = shaped.masked_fill(beyond, NEG_INF)
    return shaped.log_softmax(dim=-1)


def strip_eos(tokens: list[int]) -> list[int]:
    return tokens[: tokens.index(EOS)] if EOS in tokens else tokens
