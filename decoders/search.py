"""Search: from a decoder that takes steps, and a memory, to sentences. It sees start, step and select alone."""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from decoders.base import BOS, EOS, PAD, UNK, Constraint, Readout
from decoders.search_config import Hypothesis, SearchConfig
from encoders.base import Memory

NEVER = float("-inf")


@runtime_checkable
class Steps(Protocol):
    """All that a search needs of a decoder: see :class:`decoders.stepwise.Stepwise`. States can ``select``."""

    def start(self, memory: Memory) -> Any: ...

    def step(self, tokens: Tensor, state: Any) -> tuple[Readout, Any]: ...

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
    live = torch.arange(batch_size, device=tokens.device)  # which sentences are not done
    source_mask = memory.mask
    counts = torch.zeros_like(live)  # finished hypotheses seen, of the live sentences
    finished_scores = torch.full((batch_size, width), NEVER, device=tokens.device)
    finished_tokens = tokens.new_full((batch_size, width, config.max_length + 1), EOS)

    for length in range(config.max_length + 1):
        readout, state = decoder.step(tokens[..., -1].flatten(), state)
        log_probabilities = decoder.scores(readout.features[:, 0])
        sentences, beam = scores.shape
        owners = live.repeat_interleave(beam)
        forbid(log_probabilities, tokens.flatten(0, 1)[:, 1:], config, constraint, owners)
        # Each hypothesis' best continuations first, then the best of a sentence among them: nothing that could win is
        # lost, and sums are made for a few tokens instead of for the vocabulary.
        gained, continuations = log_probabilities.topk(min(2 * width, log_probabilities.size(1)))
        totals = (scores.flatten()[:, None] + gained).view(sentences, -1)  # (sentences, beam * continuations)
        best, index = totals.topk(min(2 * width, totals.size(1)))
        origin, token = index // gained.size(1), continuations.view(sentences, -1).take_along_dim(index, dim=1)
        rank = torch.arange(best.size(1), device=best.device)
        extended = torch.cat([tokens.take_along_dim(origin[..., None], dim=1), token[..., None]], dim=-1)

        # File away what ends here, among the best that ended before.
        ends = (token == EOS) & (rank < width) & (best > NEVER)
        final = best / (length + 1) ** config.length_penalty
        if config.coverage_penalty:
            if readout.weights is None:
                raise ValueError("coverage-penalty needs one model with attention; set --coverage-penalty 0")
            weights = readout.weights[:, 0].unflatten(0, (sentences, beam))
            coverage = weights if coverage is None else coverage + weights
            uncovered = coverage.clamp(1e-9, 1.0).log().masked_fill(~source_mask[:, None], 0.0).sum(dim=-1)
            final = final + config.coverage_penalty * uncovered.take_along_dim(origin, dim=1)
        candidates = torch.cat([finished_scores[live], final.masked_fill(~ends, NEVER)], dim=1)
        top, kept = candidates.topk(width)
        everything = torch.cat([finished_tokens[live][..., : length + 1], extended[..., 1:]], dim=1)
        finished_scores[live] = top
        finished_tokens[live, :, : length + 1] = everything.take_along_dim(kept[..., None], dim=1)
        counts = counts + ends.sum(dim=1)

        # Go on with the best that did not end, in the sentences that are not done.
        open_scores, chosen = best.masked_fill(token == EOS, NEVER).topk(min(width, best.size(1)))
        undone = ((counts < width) & (open_scores[:, 0] > NEVER)).nonzero().squeeze(1)
        if len(undone) == 0:
            break
        chosen, parents = chosen[undone], origin[undone].take_along_dim(chosen[undone], dim=1)
        state = state.select(parents + undone[:, None] * beam)
        tokens = extended[undone].take_along_dim(chosen[..., None], dim=1)
        scores, counts, live, source_mask = open_scores[undone], counts[undone], live[undone], source_mask[undone]
        if coverage is not None:
            coverage = coverage[undone].take_along_dim(parents[..., None], dim=1)

    return [
        [
            Hypothesis(until_end(line), score)
            for line, score in zip(lines[: config.n_best], row[: config.n_best], strict=True)
            if score > NEVER
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
    live = torch.arange(batch_size, device=device)
    tokens = torch.full((batch_size, draws, 1), BOS, device=device)
    readout, state = decoder.step(tokens[:, 0, 0], decoder.start(memory))  # all draws of a sentence begin alike
    features = readout.features[:, 0].repeat_interleave(draws, dim=0)
    state = state.select(live[:, None].expand(-1, draws))
    scores = torch.zeros(batch_size, draws, device=device)
    results = tokens.new_full((batch_size, draws, config.max_length + 1), EOS)

    for length in range(config.max_length + 1):
        log_probabilities = decoder.scores(features)
        owners = live.repeat_interleave(draws)
        forbid(log_probabilities, tokens.flatten(0, 1)[:, 1:], config, constraint, owners)
        drawn = torch.multinomial(truncate(log_probabilities, config).exp(), 1)  # (rows, 1)
        gained = log_probabilities.gather(1, drawn)
        ended = (tokens[..., -1] == EOS).view(-1, 1)
        token = drawn.masked_fill(ended, EOS).view(-1, draws)
        scores[live] += gained.masked_fill(ended, 0.0).view(-1, draws)
        results[live, :, length] = token
        undone = (token != EOS).any(dim=1).nonzero().squeeze(1)
        if len(undone) == 0:
            break
        tokens = torch.cat([tokens, token[..., None]], dim=-1)[undone]
        state = state.select(undone[:, None] * draws + torch.arange(draws, device=device))
        live = live[undone]
        readout, state = decoder.step(tokens[..., -1].flatten(), state)
        features = readout.features[:, 0]

    return [
        sorted(
            (Hypothesis(until_end(line), score) for line, score in zip(lines, row, strict=True)),
            key=lambda hypothesis: -hypothesis.score,
        )
        for lines, row in zip(results.tolist(), scores.tolist(), strict=True)
    ]


def forbid(
    log_probabilities: Float[Tensor, "rows vocab"],
    written: Int[Tensor, "rows length"],
    config: SearchConfig,
    constraint: Constraint | None,
    sentences: Int[Tensor, " rows"],
) -> None:
    """Make impossible, in place, what may not come next after ``written``; ``sentences``: see Constraint."""
    length = written.size(1)
    ending = log_probabilities[:, EOS].clone()
    log_probabilities[:, [PAD, UNK, BOS]] = NEVER
    if length < config.min_length:
        log_probabilities[:, EOS] = NEVER
    size = config.block_ngrams
    if 0 < size <= length:
        windows = written.unfold(1, size, 1)  # (rows, windows, size): all n-grams so far
        prefix = written[:, length - size + 1 :]
        last = windows[..., -1]
        # An end is never a repetition. What is not repeated points at PAD, which is forbidden already.
        repeated = (windows[..., :-1] == prefix[:, None]).all(dim=-1) & (last != EOS)
        log_probabilities.scatter_(1, torch.where(repeated, last, PAD), NEVER)
    if constraint is not None:
        constraint(log_probabilities, written, sentences)
    if length >= config.max_length:
        log_probabilities[:, :EOS] = NEVER
        log_probabilities[:, EOS + 1 :] = NEVER
    if size or constraint is not None:
        # Where no word is left, the sentence may end before its minimum, and out of its form: it must go on somehow.
        stuck = (log_probabilities == NEVER).all(dim=1)
        log_probabilities[:, EOS] = torch.where(stuck, ending, log_probabilities[:, EOS])


def truncate(log_probabilities: Float[Tensor, "rows vocab"], config: SearchConfig) -> Float[Tensor, "rows vocab"]:
    """The log-probabilities to draw from, normalised again after temperature, top-k and top-p."""
    shaped = log_probabilities / config.temperature
    if config.top_k:
        smallest = shaped.topk(min(config.top_k, shaped.size(1))).values[:, -1:]
        shaped = shaped.masked_fill(shaped < smallest, NEVER)
    if config.top_p < 1.0:
        ordered, index = shaped.log_softmax(dim=-1).sort(descending=True)
        before = ordered.exp().cumsum(dim=-1) - ordered.exp()  # probability of what stands before each token
        beyond = torch.zeros_like(shaped, dtype=torch.bool).scatter(1, index, before >= config.top_p)
        shaped = shaped.masked_fill(beyond, NEVER)
    return shaped.log_softmax(dim=-1)


def until_end(tokens: list[int]) -> list[int]:
    return tokens[: tokens.index(EOS)] if EOS in tokens else tokens
