"""Search for sentences with any autoregressive decoder, of which it calls init_state, step and reorder alone."""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attention.memory import Memory
from decoders.base import BOS, EOS, NEG_INF, PAD, Constraint, DecoderOutput, Hypothesis
from decoders.config import SearchConfig

BLOCK_SIZE = 64  # tokens whose maximum is computed first


@runtime_checkable
class StepwiseModel(Protocol):
    """The part of :class:`~decoders.autoregressive.AutoregressiveDecoder` that a search calls.

    States are :class:`~decoders.base.DecoderState`.
    """

    def init_state(self, memory: Memory) -> Any: ...

    def step(self, tokens: Tensor, state: Any) -> tuple[DecoderOutput, Any]: ...

    def next_token_scores(self, features: Tensor) -> Tensor: ...


@torch.inference_mode()
def beam_search(
    decoder: StepwiseModel, memory: Memory, config: SearchConfig, constraint: Constraint | None = None
) -> list[list[Hypothesis]]:
    """Keep the ``beam`` best unfinished hypotheses of each sentence and extend them all at once.

    A hypothesis finishes when its EOS is among the ``beam`` best continuations. A sentence with ``beam`` finished
    hypotheses is done and leaves the batch. Finished ones are ranked by log p / length^a plus the coverage penalty of
    Wu et al. 2016, with EOS counted in the length. At ``max_length`` every remaining hypothesis must end.

    Raises:
        ValueError: for a coverage penalty with a decoder that returns no attention weights.
    """
    state = decoder.init_state(memory)
    batch_size, beam_size = memory.mask.size(0), config.beam
    tokens = torch.full((batch_size, 1, 1), BOS, device=memory.mask.device)  # (sentences, beam, length)
    scores = torch.zeros(batch_size, 1, device=tokens.device)  # log-probabilities of unfinished hypotheses
    coverage = None  # (sentences, beam, source), with a coverage penalty
    active = torch.arange(batch_size, device=tokens.device)  # sentences that are not done
    source_mask = memory.mask
    num_finished = torch.zeros_like(active)  # of the active sentences
    finished_scores = torch.full((batch_size, beam_size), NEG_INF, device=tokens.device)
    finished_tokens = tokens.new_full((batch_size, beam_size, config.max_length + 1), EOS)

    for length in range(config.max_length + 1):
        output, state = decoder.step(tokens[..., -1].flatten(), state)
        log_probs = decoder.next_token_scores(output.features[:, 0])
        num_sentences, beam = scores.shape
        batch_index = active.repeat_interleave(beam)
        mask_invalid(log_probs, tokens.flatten(0, 1)[:, 1:], config, constraint, batch_index)
        # The best continuations of each hypothesis first, then the best of a sentence among them: the result is the
        # same, and sums are computed for a few tokens instead of for the vocabulary.
        token_scores, continuations = top_tokens(log_probs, min(2 * beam_size, log_probs.size(1)))
        totals = (scores.flatten()[:, None] + token_scores).view(num_sentences, -1)  # (sentences, beam * continuations)
        best, index = totals.topk(min(2 * beam_size, totals.size(1)))
        parent = index // token_scores.size(1)
        token = continuations.view(num_sentences, -1).take_along_dim(index, dim=1)
        rank = torch.arange(best.size(1), device=best.device)
        extended = torch.cat([tokens.take_along_dim(parent[..., None], dim=1), token[..., None]], dim=-1)

        # Merge the hypotheses that end here with the best finished ones.
        ends = (token == EOS) & (rank < beam_size) & (best > NEG_INF)
        final = best / (length + 1) ** config.length_penalty
        if config.coverage_penalty:
            if output.weights is None:
                raise ValueError(
                    f"search.coverage_penalty is {config.coverage_penalty}, which needs the weights of a single "
                    "model with attention; allowed is 0"
                )
            weights = output.weights[:, 0].unflatten(0, (num_sentences, beam))
            coverage = weights if coverage is None else coverage + weights
            penalty = coverage.clamp(1e-9, 1.0).log().masked_fill(~source_mask[:, None], 0.0).sum(dim=-1)
            final = final + config.coverage_penalty * penalty.take_along_dim(parent, dim=1)
        candidates = torch.cat([finished_scores[active], final.masked_fill(~ends, NEG_INF)], dim=1)
        top, kept = candidates.topk(beam_size)
        candidate_tokens = torch.cat([finished_tokens[active][..., : length + 1], extended[..., 1:]], dim=1)
        finished_scores[active] = top
        finished_tokens[active, :, : length + 1] = candidate_tokens.take_along_dim(kept[..., None], dim=1)
        num_finished = num_finished + ends.sum(dim=1)

        # Continue with the best hypotheses that did not end, in the sentences that are not done.
        open_scores, chosen = best.masked_fill(token == EOS, NEG_INF).topk(min(beam_size, best.size(1)))
        unfinished = ((num_finished < beam_size) & (open_scores[:, 0] > NEG_INF)).nonzero().squeeze(1)
        if len(unfinished) == 0:
            break
        chosen, parents = chosen[unfinished], parent[unfinished].take_along_dim(chosen[unfinished], dim=1)
        state = state.reorder(parents + unfinished[:, None] * beam)
        tokens = extended[unfinished].take_along_dim(chosen[..., None], dim=1)
        scores, num_finished, active, source_mask = (
            part[unfinished] for part in (open_scores, num_finished, active, source_mask)
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
    decoder: StepwiseModel, memory: Memory, config: SearchConfig, constraint: Constraint | None = None
) -> list[list[Hypothesis]]:
    """Sample ``n_best`` sentences for each row of ``memory``; their score is their log-probability in the model.

    Temperature, top-k and top-p are applied in this order. A finished sample reads its own EOS until all samples of
    its sentence are finished; then the sentence leaves the batch.
    """
    batch_size, num_samples = memory.mask.size(0), config.n_best
    device = memory.mask.device
    active = torch.arange(batch_size, device=device)  # sentences with unfinished samples
    tokens = torch.full((batch_size, num_samples, 1), BOS, device=device)
    output, state = decoder.step(tokens[:, 0, 0], decoder.init_state(memory))  # the same for all samples of a sentence
    features = output.features[:, 0].repeat_interleave(num_samples, dim=0)
    state = state.reorder(active[:, None].expand(-1, num_samples))
    scores = torch.zeros(batch_size, num_samples, device=device)
    results = tokens.new_full((batch_size, num_samples, config.max_length + 1), EOS)

    for length in range(config.max_length + 1):
        log_probs = decoder.next_token_scores(features)
        batch_index = active.repeat_interleave(num_samples)
        mask_invalid(log_probs, tokens.flatten(0, 1)[:, 1:], config, constraint, batch_index)
        sampled = torch.multinomial(filter_top_k_top_p(log_probs, config).exp(), 1)  # (rows, 1)
        token_scores = log_probs.gather(1, sampled)
        ended = (tokens[..., -1] == EOS).view(-1, 1)
        token = sampled.masked_fill(ended, EOS).view(-1, num_samples)
        scores[active] += token_scores.masked_fill(ended, 0.0).view(-1, num_samples)
        results[active, :, length] = token
        unfinished = (token != EOS).any(dim=1).nonzero().squeeze(1)
        if len(unfinished) == 0:
            break
        tokens = torch.cat([tokens, token[..., None]], dim=-1)[unfinished]
        state = state.reorder(unfinished[:, None] * num_samples + torch.arange(num_samples, device=device))
        active = active[unfinished]
        output, state = decoder.step(tokens[..., -1].flatten(), state)
        features = output.features[:, 0]

    return [
        sorted(
            (Hypothesis(strip_eos(line), score) for line, score in zip(lines, row, strict=True)),
            key=lambda hypothesis: -hypothesis.score,
        )
        for lines, row in zip(results.tolist(), scores.tolist(), strict=True)
    ]


def top_tokens(
    log_probs: Float[Tensor, "rows vocab"], count: int
) -> tuple[Float[Tensor, "rows count"], Int[Tensor, "rows count"]]:
    """Return the scores of the ``count`` best tokens of each row, and the tokens, as ``topk`` does.

    They are in the ``count`` blocks of the vocabulary with the greatest maxima. On a CPU maxima take less time than
    ``topk``, which then needs to look into these blocks alone. Among equal scores it may choose others.
    """
    num_blocks = log_probs.size(1) // BLOCK_SIZE
    if log_probs.device.type != "cpu" or num_blocks <= 4 * count:
        top = log_probs.topk(count)
        return top.values, top.indices
    blocks, rest = log_probs[:, : num_blocks * BLOCK_SIZE], log_probs[:, num_blocks * BLOCK_SIZE :]
    chosen = blocks.unflatten(1, (num_blocks, BLOCK_SIZE)).amax(dim=2).topk(count).indices  # (rows, count)
    tokens = (chosen[..., None] * BLOCK_SIZE + torch.arange(BLOCK_SIZE)).flatten(1)
    tokens = torch.cat([tokens, torch.arange(num_blocks * BLOCK_SIZE, log_probs.size(1)).expand_as(rest)], dim=1)
    top = log_probs.gather(1, tokens).topk(count)
    return top.values, tokens.gather(1, top.indices)


def mask_invalid(
    log_probs: Float[Tensor, "rows vocab"],
    tokens: Int[Tensor, "rows length"],
    config: SearchConfig,
    constraint: Constraint | None,
    batch_index: Int[Tensor, " rows"],
) -> None:
    """Set the log-probabilities of forbidden next tokens to -inf, in place.

    Args:
        log_probs: Scores of the next token of each hypothesis.
        tokens: The hypotheses so far, without BOS.
        config: Lengths and n-grams that are allowed.
        constraint: A further restriction, or None.
        batch_index: The sentence in the batch that each hypothesis belongs to.
    """
    length = tokens.size(1)
    eos_log_probs = log_probs[:, EOS].clone()
    log_probs[:, :EOS] = NEG_INF  # PAD, UNK and BOS
    if length < config.min_length:
        log_probs[:, EOS] = NEG_INF
    size = config.no_repeat_ngram
    if 0 < size <= length:
        windows = tokens.unfold(1, size, 1)  # (rows, windows, size): all n-grams so far
        prefix = tokens[:, length - size + 1 :]
        last = windows[..., -1]
        # EOS is never a repetition. Windows that do not match point to PAD, which is forbidden already.
        repeated = (windows[..., :-1] == prefix[:, None]).all(dim=-1) & (last != EOS)
        log_probs.scatter_(1, torch.where(repeated, last, PAD), NEG_INF)
    if constraint is not None:
        constraint(log_probs, tokens, batch_index)
    if length >= config.max_length:
        log_probs[:, :EOS] = NEG_INF
        log_probs[:, EOS + 1 :] = NEG_INF
    has_words = log_probs.size(1) > EOS + 1
    if size or constraint is not None or not has_words:
        # Without any allowed token the sentence may end, even below its minimum length or against its constraint.
        stuck = (log_probs == NEG_INF).all(dim=1)
        log_probs[:, EOS] = torch.where(stuck, eos_log_probs, log_probs[:, EOS])


def filter_top_k_top_p(log_probs: Float[Tensor, "rows vocab"], config: SearchConfig) -> Float[Tensor, "rows vocab"]:
    """Return the normalized log-probabilities to sample from, after temperature, top-k and top-p."""
    scaled = log_probs / config.temperature
    if config.top_k:
        smallest = scaled.topk(min(config.top_k, scaled.size(1))).values[:, -1:]
        scaled = scaled.masked_fill(scaled < smallest, NEG_INF)
    if config.top_p < 1.0:
        ordered, index = scaled.log_softmax(dim=-1).sort(descending=True)
        preceding = ordered.exp().cumsum(dim=-1) - ordered.exp()  # total probability of the tokens before each
        removed = torch.zeros_like(scaled, dtype=torch.bool).scatter(1, index, preceding >= config.top_p)
        scaled = scaled.masked_fill(removed, NEG_INF)
    return scaled.log_softmax(dim=-1)


def strip_eos(tokens: list[int]) -> list[int]:
    """Return the tokens before the first EOS."""
    return tokens[: tokens.index(EOS)] if EOS in tokens else tokens
