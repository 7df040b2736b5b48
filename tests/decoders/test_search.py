"""Search, on a toy whose every sentence can be enumerated: greedy search, beams, penalties, samples and ensembles."""

import itertools
import math
from collections import Counter

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from attention.base import Attention
from attention.config import AttentionConfig
from attention.fixed_context import FixedContext
from attention.memory import Memory
from attention.score_functions import Additive
from attention.scored import ScoredAttention
from decoders.base import BOS, EOS
from decoders.build import build_decoder
from decoders.config import RecurrentDecoderConfig, SearchConfig, TransformerDecoderConfig
from decoders.ensemble import Ensemble, EnsembleMemory
from decoders.recurrent import RecurrentDecoder
from decoders.search import BLOCK_SIZE, filter_top_k_top_p, sample, top_tokens

VOCAB, WORDS = 7, (4, 5, 6)  # WORDS are all tokens that can be generated, besides EOS

every_beam = pytest.mark.parametrize("beam", [1, 2, 5])
searched_or_sampled = pytest.mark.parametrize("sample", [False, True], ids=["searched", "sampled"])


@pytest.fixture
def memory(make_memory) -> Memory:
    return make_memory([2, 3, 1, 3, 2, 3], VOCAB)


def row(memory: Memory, sentence: int) -> Memory:
    return memory.select(torch.tensor([sentence]))


def assert_same(found: list, expected: list) -> None:
    """Compare the hypotheses of one sentence."""
    assert [one.tokens for one in found] == [one.tokens for one in expected]
    assert [one.score for one in found] == pytest.approx([one.score for one in expected], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("min_length", [0, 1, 3])
def test_a_beam_of_one_equals_a_greedy_loop(min_length, make_table, memory):
    decoder = make_table(VOCAB)
    found = decoder.search(memory, SearchConfig(beam=1, length_penalty=0.0, min_length=min_length, max_length=6))
    for (one,), summary in zip(found, memory.summary, strict=True):
        assert one.tokens == decoder.greedy(summary, min_length, 6)
        assert one.score == pytest.approx(decoder.log_prob(summary, one.tokens), rel=1e-4)


@pytest.mark.parametrize("power", [0.0, 1.0])
@pytest.mark.parametrize("min_length", [0, 1, 2])
def test_a_wide_beam_equals_brute_force(power, min_length, make_table, memory):
    decoder = make_table(VOCAB)
    lengths = [itertools.product(WORDS, repeat=length) for length in range(min_length, 5)]
    everything = [list(tokens) for tokens in itertools.chain(*lengths)]
    config = SearchConfig(beam=150, n_best=150, length_penalty=power, min_length=min_length, max_length=4)
    for found, summary in zip(decoder.search(memory, config), memory.summary, strict=True):
        scores = [decoder.log_prob(summary, tokens) / (len(tokens) + 1) ** power for tokens in everything]
        ranked = sorted(zip(scores, everything, strict=True), reverse=True)
        assert [one.tokens for one in found] == [tokens for _, tokens in ranked]
        assert [one.score for one in found] == pytest.approx([score for score, _ in ranked], rel=1e-4)


@every_beam
def test_a_sentence_in_a_batch_gets_the_same_result_as_alone(beam, make_table, memory):
    decoder, config = make_table(VOCAB), SearchConfig(beam=beam, n_best=beam, max_length=6)
    for sentence, together in enumerate(decoder.search(memory, config)):
        assert_same(together, decoder.search(row(memory, sentence), config)[0])


@every_beam
@searched_or_sampled
@pytest.mark.parametrize("ending", [-20, 50])
@pytest.mark.parametrize("choices", [{}, {"min_length": 2, "max_length": 5}], ids=["default", "bounded"])
def test_lengths_keep_within_their_bounds_and_no_sentence_is_empty(beam, sample, ending, choices, make_table, memory):
    config = SearchConfig(beam=beam, n_best=beam, sample=sample, **choices)
    found = make_table(VOCAB, eos_logit=ending).search(memory, config)
    lengths = {len(one.tokens) for hypotheses in found for one in hypotheses}
    assert [len(hypotheses) for hypotheses in found] == [beam] * 6
    assert config.min_length <= min(lengths) <= max(lengths) <= config.max_length
    if beam == 1 or sample:
        assert lengths == {config.min_length if ending > 0 else config.max_length}


@searched_or_sampled
@pytest.mark.parametrize("beam", [1, 3])
def test_finished_sentences_leave_the_batch(beam, sample, make_table, make_memory):
    decoder, memory = make_table(VOCAB, eos_logit=-20), make_memory([1, 1, 1], VOCAB)
    memory.summary[1, EOS] += 100  # the middle one ends at once, the others never
    decoder.search(memory, SearchConfig(beam=beam, n_best=beam, sample=sample, max_length=9))
    assert len(decoder.rows) == 10
    assert decoder.rows[0] == 3  # all begin with the same token
    assert decoder.rows[-1] == 2 * beam
    decoder.rows.clear()
    decoder.search(row(memory, 1), SearchConfig(beam=1, sample=sample, max_length=9))
    assert decoder.rows == [1, 1]


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("choices", [{"beam": 1}, {"beam": 4}, {"sample": True}], ids=str)
def test_no_n_gram_is_repeated_if_that_is_forbidden(size, choices, make_table, memory):
    decoder = make_table(VOCAB, eos_logit=-20).counting()
    free = decoder.search(memory, SearchConfig(max_length=12, **choices))
    blocked = decoder.search(memory, SearchConfig(max_length=12, no_repeat_ngram=size, **choices))
    for before, after in zip(free, blocked, strict=True):
        repeats = []
        for tokens in (before[0].tokens, after[0].tokens):
            n_grams = [tuple(tokens[at : at + size]) for at in range(len(tokens) - size + 1)]
            repeats.append(len(n_grams) - len(set(n_grams)))
        assert repeats[0] > 0
        assert repeats[1] == 0


@searched_or_sampled
def test_a_sentence_that_cannot_continue_ends_even_below_its_minimum_length(sample, make_table, memory):
    config = SearchConfig(beam=2, n_best=2, sample=sample, no_repeat_ngram=1, min_length=5, max_length=9)
    for found in make_table(VOCAB, eos_logit=-20).counting().search(memory, config):
        assert [sorted(one.tokens) for one in found] == [list(WORDS)] * 2


def recurrent(attention: Attention, **choices) -> RecurrentDecoder:
    decoder = RecurrentDecoder(nn.Embedding(VOCAB, 5), attention, 8, 6, **choices).eval()
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.7)
    return decoder


@pytest.mark.parametrize("beta", [0.0, 0.4])
@pytest.mark.parametrize("choices", [{}, {"attention_order": "bahdanau", "input_feeding": True}], ids=str)
def test_scores_equal_those_of_the_teacher_forced_sentence_with_coverage_penalty(beta, choices, make_memory):
    decoder, memory = recurrent(ScoredAttention(Additive(8, 6, 5), 6), **choices), make_memory([4, 2, 3], 6)
    config = SearchConfig(beam=4, n_best=4, length_penalty=0.7, coverage_penalty=beta, max_length=6)
    for sentence, found in enumerate(decoder.search(memory, config)):
        assert_same(found, decoder.search(row(memory, sentence), config)[0])
        assert len(found) == 4
        for one in found:
            output = decoder(torch.tensor([[BOS, *one.tokens]]), row(memory, sentence))
            log_probs = decoder.logits(output.features[0]).log_softmax(dim=-1).tolist()
            expected = sum(log_probs[at][token] for at, token in enumerate([*one.tokens, EOS]))
            expected /= (len(one.tokens) + 1) ** 0.7
            for position in memory.mask[sentence].nonzero():
                attended = sum(weights[position].item() for weights in output.weights[0])
                expected += beta * math.log(min(attended, 1.0))
            assert one.score == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("count", [1, 3, 10])
@pytest.mark.parametrize("vocab", [20, 41 * BLOCK_SIZE, 41 * BLOCK_SIZE + 1, 42 * BLOCK_SIZE - 1])
def test_the_best_tokens_are_those_of_topk(vocab, count):
    torch.manual_seed(1)
    scores = torch.randn(5, vocab)
    scores[0, vocab - 2 :] = 9.0 + torch.arange(2)  # behind the last whole block
    scores[1, 2:] = float("-inf")  # fewer than are asked for
    scores[2, : count + 1] = 9.0 + torch.arange(count + 1)  # all in one block
    values, tokens = top_tokens(scores, count)
    expected = scores.topk(count)
    assert_close(values, expected.values, rtol=0, atol=0)
    is_finite = expected.values > float("-inf")
    assert_close(tokens[is_finite], expected.indices[is_finite])
    assert_close(scores.gather(1, tokens), values, rtol=0, atol=0)


def test_a_coverage_penalty_without_attention_is_refused(make_memory):
    with pytest.raises(ValueError, match=r"^search.coverage_penalty is 0.2, .* attention"):
        recurrent(FixedContext(6)).search(make_memory([4, 2], 6), SearchConfig(coverage_penalty=0.2))


@pytest.mark.parametrize("sharp", [{"temperature": 1e-4}, {"top_k": 1}, {"top_p": 1e-6}], ids=str)
def test_the_sharpest_sampling_is_greedy(sharp, make_table, memory):
    decoder = make_table(VOCAB)
    sample = decoder.search(memory, SearchConfig(sample=True, n_best=3, max_length=6, **sharp))
    for found, summary in zip(sample, memory.summary, strict=True):
        assert [one.tokens for one in found] == [decoder.greedy(summary, 1, 6)] * 3


def test_the_score_of_a_sample_is_its_log_probability_in_the_model(make_table, memory):
    decoder = make_table(VOCAB)
    config = SearchConfig(sample=True, n_best=8, max_length=6, temperature=2.0, top_k=3, top_p=0.9)
    for found, summary in zip(decoder.search(memory, config), memory.summary, strict=True):
        expected = [decoder.log_prob(summary, one.tokens) for one in found]
        assert [one.score for one in found] == pytest.approx(expected, rel=1e-4)
        assert expected == sorted(expected, reverse=True)


@pytest.mark.parametrize("locality", ["global", "local_m", "monotonic"])
@pytest.mark.parametrize("score", ["general", "location"])
@pytest.mark.parametrize("kind", ["recurrent", "transformer"])
def test_samples_have_the_scores_of_the_teacher_forced_pass(kind, score, locality, make_memory):
    """They equal those of the same tokens in one pass, whatever the state of the attention."""
    attention = AttentionConfig(score=score, locality=locality, window_size=1.0, hidden_dim=5)
    config_class = RecurrentDecoderConfig if kind == "recurrent" else TransformerDecoderConfig
    config = config_class(hidden_dim=8, embedding_dim=6, dropout=0.0)
    embedding = nn.Embedding(VOCAB, 6)
    decoder = build_decoder(config, attention, vocab_size=VOCAB, memory_dim=6, embedding=embedding).eval()
    memory = make_memory([4, 2, 3], 6)
    for sentence, ranked in enumerate(sample(decoder, memory, SearchConfig(sample=True, n_best=5, max_length=4))):
        for hypothesis in ranked:
            tokens = torch.tensor([[BOS, *hypothesis.tokens, EOS]])
            alone = memory.select(torch.tensor([sentence]))
            scores = decoder.next_token_scores(decoder(tokens[:, :-1], alone).features)[0]
            steps = scores[torch.arange(len(scores)), tokens[0, 1:]].tolist()
            assert hypothesis.score == pytest.approx(sum(steps), abs=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_samples_are_as_frequent_as_they_are_probable(temperature, make_table, memory):
    decoder, num_samples = make_table(VOCAB), 5000
    config = SearchConfig(sample=True, n_best=num_samples, max_length=2, temperature=temperature)
    counts = Counter(tuple(one.tokens) for one in decoder.search(row(memory, 0), config)[0])

    def chances(tokens: list[int], allowed: tuple[int, ...]) -> dict[int, float]:
        log_probs = decoder.next_log_probs(memory.summary[0], tokens)
        shaped = {token: math.exp(log_probs[token] / temperature) for token in allowed}
        return {token: chance / sum(shaped.values()) for token, chance in shaped.items()}

    expected = {}
    for first, first_chance in chances([], WORDS).items():  # at least one word, at most two
        for second, chance in chances([first], (EOS, *WORDS)).items():
            expected[(first,) if second == EOS else (first, second)] = num_samples * first_chance * chance
    assert set(counts) <= set(expected)
    chi_square = sum((counts[tokens] - mean) ** 2 / mean for tokens, mean in expected.items() if mean >= 1)
    assert chi_square < 31.3  # exceeded once in a thousand times, with 11 degrees of freedom


@pytest.mark.parametrize("top_k", [0, 2, 50])
@pytest.mark.parametrize("top_p", [0.3, 0.8, 1.0])
def test_top_k_and_top_p_equal_a_loop(top_k, top_p):
    log_probs, expected = (3 * torch.randn(20, 9)).log_softmax(dim=-1), []
    for line in log_probs.tolist():
        shaped = [math.exp(value / 1.5) for value in line]
        ordered = sorted(range(9), key=lambda token: -shaped[token])[: top_k or 9]
        total, kept = sum(shaped[token] for token in ordered), []
        while len(kept) < len(ordered) and sum(shaped[token] for token in kept) < top_p * total:
            kept.append(ordered[len(kept)])
        left = sum(shaped[token] for token in kept)
        expected.append([math.log(shaped[token] / left) if token in kept else -math.inf for token in range(9)])
    found = filter_top_k_top_p(log_probs, SearchConfig(sample=True, temperature=1.5, top_k=top_k, top_p=top_p))
    assert_close(found, torch.tensor(expected), rtol=1e-4, atol=1e-5)


@every_beam
def test_an_ensemble_of_equal_members_equals_each_of_them(beam, make_memory):
    decoder, memory = recurrent(ScoredAttention(Additive(8, 6, 5), 6)), make_memory([4, 2, 3], 6)
    config = SearchConfig(beam=beam, n_best=beam, max_length=6)
    together = Ensemble([decoder, decoder]).search(EnsembleMemory.from_members([memory, memory]), config)
    for found, expected in zip(together, decoder.search(memory, config), strict=True):
        assert_same(found, expected)


def test_an_ensemble_averages_the_probabilities_of_its_members(make_table, make_memory):
    members, memories = [make_table(VOCAB), make_table(VOCAB)], [make_memory([2, 3], VOCAB), make_memory([4, 1], VOCAB)]
    config = SearchConfig(beam=3, n_best=3, length_penalty=0.0, max_length=6)
    for sentence, found in enumerate(Ensemble(members).search(EnsembleMemory.from_members(memories), config)):
        for one in found:
            expected = 0.0
            for at, token in enumerate([*one.tokens, EOS]):
                pairs = zip(members, memories, strict=True)
                log_probs = [
                    member.next_log_probs(memory.summary[sentence], one.tokens[:at])[token] for member, memory in pairs
                ]
                expected += math.log(sum(map(math.exp, log_probs)) / 2)
            assert one.score == pytest.approx(expected, rel=1e-4)


def test_sentences_of_an_ensembles_memory_can_be_selected(make_table, make_memory):
    ensemble, config = Ensemble([make_table(VOCAB), make_table(VOCAB)]), SearchConfig(beam=2, max_length=6)
    memories = EnsembleMemory.from_members([make_memory([2, 3, 1], VOCAB), make_memory([1, 5, 2], VOCAB)])
    assert_same(ensemble.search(row(memories, 1), config)[0], ensemble.search(memories, config)[1])


INVALID = {
    "search.beam is 0; allowed is 1 to 10000": {"beam": 0},
    "search.n_best is 3; allowed is between 1 and the beam, 2": {"beam": 2, "n_best": 3},
    "search.n_best is 0; allowed is 1 to 10000": {"n_best": 0, "sample": True},
    "search.min_length is 9; allowed is between 0 and max_length, 8": {"min_length": 9, "max_length": 8},
    "search.beam is 1000000; allowed is 1 to 10000": {"beam": 1_000_000},
    "search.max_length is 0; allowed is 1 to 100000": {"max_length": 0},
    "search.no_repeat_ngram is -1; allowed is 0 or more": {"no_repeat_ngram": -1},
    "search.temperature is 0.0; allowed is above 0": {"temperature": 0.0},
    "search.top_k is -1; allowed is 0 or more": {"top_k": -1},
    "search.top_p is 0.0; allowed is above 0 and at most 1": {"top_p": 0.0},
    "search.top_p is 1.5; allowed is above 0 and at most 1": {"top_p": 1.5},
}


@pytest.mark.parametrize("message", INVALID)
def test_an_invalid_setting_is_refused_in_one_line_with_the_allowed_values(message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        SearchConfig(**INVALID[message])


def test_unused_settings_are_those_of_the_other_search():
    # beam and length_penalty count for samples too where they are reranked.
    assert set(SearchConfig(sample=True).unused_settings()) == {"coverage_penalty"}
    assert set(SearchConfig().unused_settings()) == {"temperature", "top_k", "top_p"}


def test_a_ctc_weight_without_ctc_is_refused(make_table, make_memory):
    with pytest.raises(ValueError, match=r"^search\.ctc_weight is 0.3"):
        make_table(VOCAB).search(make_memory([2], VOCAB), SearchConfig(ctc_weight=0.3))
