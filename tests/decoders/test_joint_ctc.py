"""Joint CTC and attention: prefix probabilities against brute force, and the contract of label-synchronous decoders."""

import itertools
import math
from collections import defaultdict

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from attention.memory import Memory
from attention.score_functions import Additive
from attention.scored import ScoredAttention
from decoders.base import BOS, EOS, NEG_INF, PAD, UNK
from decoders.config import SearchConfig
from decoders.ctc import CTC
from decoders.joint_ctc import CTCPosteriors, CTCPrefixState, JointCTCAttention
from decoders.recurrent import RecurrentDecoder

DIM, VOCAB = 6, 7
WRITABLE = (PAD, UNK, 4, 5, 6)


@pytest.fixture
def joint() -> JointCTCAttention:
    return build(0.4)


@pytest.fixture
def memory(make_memory) -> Memory:
    return make_memory([5, 2, 4], DIM)


def build(weight: float) -> JointCTCAttention:
    attention = RecurrentDecoder(nn.Embedding(VOCAB, 5), ScoredAttention(Additive(8, DIM, 5), DIM), 8, DIM)
    joint = JointCTCAttention(attention, CTC(DIM, VOCAB), weight).eval()
    for parameter in joint.parameters():
        nn.init.normal_(parameter, std=0.7)
    return joint


def start(ctc: CTC, memory: Memory) -> CTCPrefixState:
    return CTCPrefixState.initial(CTCPosteriors.from_log_probs(ctc.log_probs(memory), memory.mask))


def chances(ctc: CTC, memory: Memory, sentence: int) -> dict[tuple[int, ...], float]:
    """Return every sentence possible with CTC, with its probability, by enumeration of all paths."""
    frames = ctc.log_probs(memory)[sentence][memory.mask[sentence]].double().exp().tolist()
    total: dict[tuple[int, ...], float] = defaultdict(float)
    for path in itertools.product(WRITABLE, repeat=len(frames)):
        words = tuple(token for token, _ in itertools.groupby(path) if token != PAD)
        total[words] += math.prod(frame[token] for frame, token in zip(frames, path, strict=True))
    return total


@pytest.mark.parametrize("words", [[], [4], [4, 4], [5, UNK, 5], [6, 5, 4, 4]], ids=str)
def test_prefix_scores_equal_sums_over_all_completions(words, joint, memory):
    prefixes = start(joint.ctc, memory)
    for token in [BOS, *words]:
        prefixes = prefixes.extend(torch.full((3, 1), token))
    scores = prefixes.next_token_scores()[:, 0]
    for sentence in range(3):
        everything = chances(joint.ctc, memory, sentence)

        def prefix_chance(*prefix: int, everything=everything) -> float:
            return sum(chance for words, chance in everything.items() if words[: len(prefix)] == prefix)

        total_chance = prefix_chance(*words)
        if total_chance == 0:  # too long for its frames
            continue
        for token in (UNK, 4, 5, 6):
            chance = prefix_chance(*words, token)
            if chance > 0:
                assert scores[sentence, token].item() == pytest.approx(
                    math.log(chance / total_chance), rel=1e-5, abs=1e-6
                )
            else:
                assert -math.inf < scores[sentence, token].item() < -1e9
        whole = everything[tuple(words)]
        assert scores[sentence, EOS].item() == pytest.approx(math.log(whole / total_chance), rel=1e-5, abs=1e-6)
        assert (scores[sentence, [PAD, BOS]] < -1e9).all()


def plain_prefix_scores(frames: Tensor, words: list[int]) -> Tensor:
    """Return log p(words, token, anything) for each token, and log p(words) at EOS, by loops over time."""
    num_frames, vocab = frames.shape
    nonblank = [torch.tensor(NEG_INF).double()] * (num_frames + 1)
    blank = [frames[:t, PAD].sum() for t in range(num_frames + 1)]
    for number, token in enumerate(words):
        prefix_alpha = blank if words[number - 1 : number] == [token] else list(map(torch.logaddexp, blank, nonblank))
        next_nonblank, next_blank = [torch.tensor(NEG_INF).double()], [torch.tensor(NEG_INF).double()]
        for t in range(num_frames):
            next_blank.append(torch.logaddexp(next_blank[t], next_nonblank[t]) + frames[t, PAD])
            next_nonblank.append(torch.logaddexp(next_nonblank[t], prefix_alpha[t]) + frames[t, token])
        nonblank, blank = next_nonblank, next_blank
    total = torch.stack(list(map(torch.logaddexp, blank, nonblank)))
    scores = torch.full((vocab,), NEG_INF).double()
    for token in range(vocab):
        prefix_alpha = torch.stack(blank) if words[-1:] == [token] else total
        scores[token] = torch.logsumexp(prefix_alpha[:-1] + frames[:, token], dim=0)
    scores[EOS] = total[-1]
    return scores


@pytest.mark.parametrize("sharpness", [1.0, 400.0])
def test_long_and_sharp_prefix_scores_equal_a_plain_loop_in_logarithms(sharpness, joint, make_memory):
    """Sharp frames let hypotheses differ by thousands of nats, far beyond what probabilities can hold.

    What is hopelessly improbable need not be exact, but must not count as impossible.
    """
    memory = make_memory([150, 90], DIM)
    log_probs = (sharpness * joint.ctc.output(memory.states).double()).log_softmax(dim=-1)
    log_probs[..., [BOS, EOS]] = NEG_INF
    prefixes = CTCPrefixState.initial(CTCPosteriors.from_log_probs(log_probs, memory.mask))
    best = log_probs[0].argmax(dim=-1).tolist()
    words = [token for token, _ in itertools.groupby(best) if token not in (PAD, BOS, EOS)]
    for number, token in enumerate([BOS, *words[:40]]):
        prefixes = prefixes.extend(torch.full((2, 1), token))
        scores = prefixes.next_token_scores()[:, 0]
        if number % 8:
            continue
        for sentence in range(2):
            frames = log_probs[sentence][memory.mask[sentence]]
            expected = plain_prefix_scores(frames, words[:number])
            found = scores[sentence] + prefixes.prefix_log_prob[sentence, 0]
            relevant = (expected - prefixes.prefix_log_prob[sentence, 0] > -600) & (torch.arange(VOCAB) != PAD)
            assert relevant.any()
            assert_close(found[relevant], expected[relevant], rtol=1e-9, atol=1e-6)
            possible = (expected > NEG_INF) & (torch.arange(VOCAB) != PAD)
            assert (scores[sentence][possible] > -1e6).all()


def test_scores_along_a_sentence_add_up_to_its_log_probability(joint, memory):
    words, prefixes, total = [5, 5, 4], start(joint.ctc, memory), torch.zeros(3).double()
    for token, next_token in itertools.pairwise([BOS, *words, EOS]):
        prefixes = prefixes.extend(torch.full((3, 1), token))
        total += prefixes.next_token_scores()[:, 0, next_token]
    for sentence in (0, 2):  # the other is too short
        expected = math.log(chances(joint.ctc, memory, sentence)[tuple(words)])
        assert total[sentence].item() == pytest.approx(expected, rel=1e-5)


def test_states_are_reordered_by_hypothesis_and_sentences_can_leave(joint, memory):
    """Each row of the grid continues as if it were alone."""
    first = torch.tensor([[4, 5, 4], [6, 4, 6], [5, 5, 6]])  # (sentences, beam)
    output, state = joint.step(torch.full((3,), BOS), joint.init_state(memory))
    state = state.reorder(torch.arange(3)[:, None].expand(-1, 3))
    _, state = joint.step(first.flatten(), state)
    rows = torch.tensor([[2, 0], [7, 8]])  # the middle sentence leaves the batch
    second = torch.tensor([[4, 6], [5, 4]])
    found, _ = joint.step(second.flatten(), state.reorder(rows))
    sentences = [0, 0, 2, 2]
    for index, (row, token) in enumerate(zip(rows.flatten(), second.flatten(), strict=True)):
        by_itself = joint.init_state(memory.select(torch.tensor([sentences[index]])))
        for read in (torch.tensor([BOS]), first.flatten()[row : row + 1], token[None]):
            output, by_itself = joint.step(read, by_itself)
        assert_close(found.features[index], output.features[0])
        assert_close(found.weights[index], output.weights[0])


@pytest.mark.parametrize("beam", [1, 2, 5])
def test_a_sentence_in_a_batch_gets_the_same_result_as_alone(beam, joint, memory, alone):
    config = SearchConfig(beam=beam, n_best=beam, max_length=6)
    for sentence, together in enumerate(joint.search(memory, config)):
        (by_itself,) = joint.search(alone(memory, sentence), config)
        assert [one.tokens for one in together] == [one.tokens for one in by_itself]
        assert [one.score for one in together] == pytest.approx([one.score for one in by_itself], rel=1e-4)


def test_a_score_is_minus_the_loss_of_the_sentence(joint, memory):
    config = SearchConfig(beam=4, n_best=4, length_penalty=0.0, min_length=0, max_length=6)
    compared = 0
    for sentence, found in enumerate(joint.search(memory, config)):
        for one in found:
            if one.score < -1e6:
                continue  # too long for its frames: CTC's loss ignores it
            row = memory.select(torch.tensor([sentence]))
            expected = -joint.loss(torch.tensor([[BOS, *one.tokens, EOS]]), row).total.item()
            assert one.score == pytest.approx(expected, rel=1e-4, abs=1e-4)
            compared += 1
    assert compared >= 9


@pytest.mark.parametrize("trained", [0.0, 0.4])
def test_with_weight_zero_it_equals_the_attention_decoder(trained, memory):
    joint, config = build(trained), SearchConfig(beam=3, n_best=3, max_length=9)
    chosen = SearchConfig(beam=3, n_best=3, max_length=9, ctc_weight=None if trained == 0 else 0.0)
    pairs = zip(joint.search(memory, chosen), joint.attention.search(memory, config), strict=True)
    for found, expected in pairs:
        assert [one.tokens for one in found] == [one.tokens for one in expected]
        assert [one.score for one in found] == pytest.approx([one.score for one in expected], rel=1e-5)


def test_with_weight_one_it_finds_ctcs_best_sentence(joint, memory):
    config = SearchConfig(beam=400, n_best=3, length_penalty=0.0, min_length=0, max_length=6, ctc_weight=1.0)
    for sentence, found in enumerate(joint.search(memory, config)):
        everything = chances(joint.ctc, memory, sentence).items()
        ranked = sorted([(chance, words) for words, chance in everything if UNK not in words], reverse=True)[:3]
        assert [tuple(one.tokens) for one in found] == [words for _, words in ranked]
        assert [one.score for one in found] == pytest.approx([math.log(chance) for chance, _ in ranked], rel=1e-4)


def test_a_weight_for_one_search_does_not_change_the_decoder(joint, memory):
    before = joint.search(memory, SearchConfig(max_length=6))
    changed = joint.search(memory, SearchConfig(max_length=6, ctc_weight=0.9))
    assert changed != before
    assert joint.search(memory, SearchConfig(max_length=6)) == before
    assert joint.weight == 0.4
    other = JointCTCAttention(joint.attention, joint.ctc, 0.9)
    assert other.search(memory, SearchConfig(max_length=6)) == changed


@pytest.mark.parametrize("weight", [-0.1, 1.1])
def test_a_weight_outside_0_to_1_is_refused(weight):
    with pytest.raises(ValueError, match=f"^search.ctc_weight is {weight}; allowed is 0 to 1$"):
        SearchConfig(ctc_weight=weight)


@pytest.mark.parametrize("choices", [{}, {"sample": True}], ids=["searched", "sampled"])
def test_more_tokens_than_frames_are_generated_if_the_minimum_length_demands_it(choices, joint, memory):
    config = SearchConfig(beam=2, n_best=2, min_length=7, max_length=9, **choices)
    for found in joint.search(memory, config):
        assert len(found) == 2
        assert all(7 <= len(one.tokens) <= 9 and math.isfinite(one.score) for one in found)


def test_the_loss_is_the_weighted_sum_and_its_gradient_reaches_both(joint, memory):
    tokens = torch.tensor([[BOS, 4, 5, EOS], [BOS, 5, EOS, PAD], [BOS, 4, 4, EOS]])
    loss = joint.loss(tokens, memory, label_smoothing=0.1).total
    parts = joint.attention.loss(tokens, memory, label_smoothing=0.1).total, joint.ctc.loss(tokens, memory).total
    assert_close(loss, 0.6 * parts[0] + 0.4 * parts[1])
    loss.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in joint.parameters())


def test_alignment_is_that_of_the_attention_decoder(joint, memory):
    tokens = torch.tensor([[BOS, 4, 5, EOS]] * 3)
    assert_close(joint.alignment(tokens, memory), joint.attention.alignment(tokens, memory))


def test_forward_gives_the_scores_of_the_steps(joint, memory):
    tokens = torch.tensor([[BOS, 4], [BOS, 5], [BOS, 6]])
    output, state = joint(tokens, memory), joint.init_state(memory)
    for position in range(2):
        step, state = joint.step(tokens[:, position], state)
        assert_close(
            joint.next_token_scores(output.features[:, position]), joint.next_token_scores(step.features[:, 0])
        )
