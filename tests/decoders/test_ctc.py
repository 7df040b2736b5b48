"""CTC, on toys whose every path through the frames can be enumerated: its loss, its search and its alignment."""

import itertools
import math
from collections import defaultdict

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from attention.memory import Memory
from decoders.base import BOS, EOS, PAD, UNK
from decoders.config import SearchConfig
from decoders.ctc import CTC
from decoders.forced_alignment import align_labels

DIM, VOCAB = 5, 6
WRITABLE = (PAD, UNK, 4, 5)

every_beam = pytest.mark.parametrize("beam", [1, 2, 5])


@pytest.fixture
def ctc() -> CTC:
    return build(VOCAB)


@pytest.fixture
def memory(make_memory) -> Memory:
    return make_memory([5, 2, 4], DIM)


def build(vocab: int) -> CTC:
    ctc = CTC(DIM, vocab).eval()
    torch.nn.init.normal_(ctc.output.weight)
    return ctc


def add_bos_eos(*sentences: list[int]) -> Tensor:
    """Wrap sentences in BOS and EOS, and pad them."""
    longest = max(map(len, sentences))
    return torch.tensor([[BOS, *words, EOS, *[PAD] * (longest - len(words))] for words in sentences])


def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(token for token, _ in itertools.groupby(path) if token != PAD)


def paths(ctc: CTC, memory: Memory, sentence: int) -> dict[tuple[int, ...], float]:
    """Return every path through a sentence's frames, with its probability."""
    frames = ctc.log_probs(memory)[sentence][memory.mask[sentence]].double().exp().tolist()
    return {
        path: math.prod(frame[token] for frame, token in zip(frames, path, strict=True))
        for path in itertools.product(WRITABLE, repeat=len(frames))
    }


def chances(ctc: CTC, memory: Memory, sentence: int) -> dict[tuple[int, ...], float]:
    """Return every possible sentence, with its probability."""
    total: dict[tuple[int, ...], float] = defaultdict(float)
    for path, chance in paths(ctc, memory, sentence).items():
        total[collapse(path)] += chance
    return total


def test_each_frame_has_a_distribution_without_bos_and_eos(ctc, memory):
    probabilities = ctc.log_probs(memory)[memory.mask].exp()
    assert_close(probabilities.sum(dim=-1), torch.ones(11))
    assert torch.equal(probabilities[:, [BOS, EOS]], torch.zeros(11, 2))
    assert (probabilities[:, WRITABLE] > 0).all()


def test_the_loss_is_the_sum_over_all_paths(ctc, memory):
    sentences = [[4, 4, 5], [5], []], [[UNK, 5, 4, UNK], [4, 5], [4, UNK, 4]]
    for batch in sentences:
        expected = -sum(math.log(chances(ctc, memory, row)[tuple(words)]) for row, words in enumerate(batch))
        assert ctc.loss(add_bos_eos(*batch), memory).total.item() == pytest.approx(expected, rel=1e-5)


def test_a_sentence_too_long_for_its_frames_adds_no_loss(ctc, memory):
    fitting = ctc.loss(add_bos_eos([4, 5]), memory.select(torch.tensor([0]))).total
    assert_close(ctc.loss(add_bos_eos([4, 5], [4, 4], [4, 5, 4, 5, 4]), memory).total, fitting)


def test_gradients_are_finite_and_reach_every_real_state_and_no_padding(ctc, memory):
    states = memory.states.requires_grad_()
    ctc.loss(add_bos_eos([4, 4], [5], [4, 4, 4, 4, 4]), memory).total.backward()
    reached = states.grad.abs().sum(dim=-1) > 0
    assert torch.equal(reached[:2], memory.mask[:2])
    assert not reached[2].any()  # it does not fit
    assert all(parameter.grad.isfinite().all() for parameter in ctc.parameters())


@pytest.mark.parametrize("max_length", [2, 9])
def test_a_beam_of_one_follows_the_best_path(max_length, ctc, make_memory):
    memory = make_memory([5, 2, 4, 6, 1, 6], DIM)
    for sentence, (one,) in enumerate(ctc.search(memory, SearchConfig(beam=1, max_length=max_length))):
        allowed = {path: chance for path, chance in paths(ctc, memory, sentence).items() if UNK not in path}
        words = collapse(max(allowed, key=allowed.__getitem__))[:max_length]
        assert tuple(one.tokens) == words
        assert one.score == pytest.approx(math.log(chances(ctc, memory, sentence)[words]), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("max_length", [1, 3, 128])
def test_a_wide_beam_equals_brute_force(max_length, ctc, memory):
    found = ctc.search(memory, SearchConfig(beam=200, n_best=200, max_length=max_length))
    for sentence, hypotheses in enumerate(found):
        everything = chances(ctc, memory, sentence).items()
        allowed = [(chance, words) for words, chance in everything if UNK not in words and len(words) <= max_length]
        ranked = sorted(allowed, reverse=True)
        assert [tuple(one.tokens) for one in hypotheses] == [words for _, words in ranked]
        expected = [math.log(chance) for chance, _ in ranked]
        assert [one.score for one in hypotheses] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def plain_prefix_beam(frames: list[list[float]], beam: int) -> list[tuple[float, tuple[int, ...]]]:
    """Hannun et al. 2014 over a dictionary of prefixes, each with its [blank, nonblank] probability."""
    prefixes = {(): [1.0, 0.0]}
    for frame in frames:
        following: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [0.0, 0.0])
        for prefix, (blank, nonblank) in prefixes.items():
            following[prefix][0] += (blank + nonblank) * frame[PAD]
            for token in range(EOS + 1, len(frame)):
                repeated = prefix[-1:] == (token,)
                following[(*prefix, token)][1] += (blank if repeated else blank + nonblank) * frame[token]
                if repeated:
                    following[prefix][1] += nonblank * frame[token]
        prefixes = dict(sorted(following.items(), key=lambda item: -sum(item[1]))[:beam])
    return [(math.log(sum(chance)), prefix) for prefix, chance in prefixes.items()]


@pytest.mark.parametrize("beam, sentences", [(2, 1000), (3, 200), (30, 10)])
def test_a_narrow_beam_equals_the_plain_loop(beam, sentences, make_memory):
    """Compare many sentences, because the number of tokens tried for a prefix rarely matters."""
    ctc, memory = build(12), make_memory([25, 1, 17, 30, 28] * (sentences // 5), DIM)
    with torch.no_grad():
        ctc.output.weight *= 0.3
    found = ctc.search(memory, SearchConfig(beam=beam, n_best=beam))
    for hypotheses, frames, mask in zip(found, ctc.log_probs(memory).exp(), memory.mask, strict=True):
        expected = plain_prefix_beam(frames[mask].double().tolist(), beam)
        assert [tuple(one.tokens) for one in hypotheses] == [words for _, words in expected]
        assert [one.score for one in hypotheses] == pytest.approx([score for score, _ in expected], rel=1e-4)


@every_beam
def test_a_sentence_in_a_batch_gets_the_same_result_as_alone(beam, ctc, memory, alone):
    config = SearchConfig(beam=beam, n_best=beam)
    for sentence, together in enumerate(ctc.search(memory, config)):
        (by_itself,) = ctc.search(alone(memory, sentence), config)
        assert [one.tokens for one in together] == [one.tokens for one in by_itself]
        assert [one.score for one in together] == pytest.approx([one.score for one in by_itself], rel=1e-4)


@pytest.mark.parametrize("beam", [3, 5])
@pytest.mark.parametrize("n_best", [1, 3])
def test_at_most_n_best_sentences_are_returned_best_first(beam, n_best, ctc, memory):
    everything = ctc.search(memory, SearchConfig(beam=beam, n_best=beam))
    for found, most in zip(ctc.search(memory, SearchConfig(beam=beam, n_best=n_best)), everything, strict=True):
        assert found == most[:n_best]
        assert len(found) == n_best
        assert len({tuple(one.tokens) for one in most}) == len(most)


@every_beam
def test_probable_blanks_give_an_empty_sentence(beam, ctc, memory):
    with torch.no_grad():
        ctc.output.bias[PAD] += 1000
    assert [found[0].tokens for found in ctc.search(memory, SearchConfig(beam=beam))] == [[], [], []]


@every_beam
def test_unk_is_never_generated(beam, ctc, memory):
    with torch.no_grad():
        ctc.output.bias[UNK] += 50
    for found in ctc.search(memory, SearchConfig(beam=beam, n_best=beam)):
        assert all(UNK not in one.tokens for one in found)


def test_alignment_follows_the_best_path_of_the_sentence(ctc, memory):
    sentences = [4, 4, 5], [5], [UNK, 4]
    found = ctc.alignment(add_bos_eos(*sentences), memory)
    expected = torch.zeros(3, 3, 5)
    for row, words in enumerate(sentences):
        fitting = {path: chance for path, chance in paths(ctc, memory, row).items() if collapse(path) == tuple(words)}
        groups = itertools.groupby(enumerate(max(fitting, key=fitting.__getitem__)), key=lambda pair: pair[1])
        carried = [[frame for frame, _ in group] for token, group in groups if token != PAD]
        for number, frames in enumerate(carried):
            expected[row, number, frames] = 1 / len(frames)
    assert_close(found, expected)


def test_alignment_rows_sum_to_one_or_to_zero_if_the_sentence_is_too_long(ctc, memory):
    sums = ctc.alignment(add_bos_eos([4, 5, 4], [5, 5], []), memory).sum(dim=-1)
    assert_close(sums, torch.tensor([[1.0, 1, 1], [0, 0, 0], [0, 0, 0]]))


@pytest.mark.parametrize(
    "sentence, path",
    [([4, 4, 5], [4, 4, 4, 0, 0, 0, 4, 0, 5]), ([5], [0, 0, 0, 0, 0, 0, 0, 0, 5]), ([3, 4, 5, 3], [3, 4, 5, *[3] * 6])],
    ids=str,
)
def test_the_best_path_equals_that_of_torchaudio(sentence, path):
    frame, entry = torch.meshgrid(torch.arange(9), torch.arange(6), indexing="ij")
    log_probs = torch.sin(3.0 * frame + 5 * entry + frame * entry)[None].log_softmax(dim=-1)
    # Another sentence and padded frames in the same batch.
    batch = torch.cat([log_probs, log_probs.roll(1, dims=1)])
    batch = torch.nn.functional.pad(batch, (0, 0, 0, 3), value=50.0)
    labels = torch.tensor([sentence + [PAD] * (5 - len(sentence)), [5, 4, 3, 4, 5]])
    mask = torch.arange(12).expand(2, -1) < torch.tensor([[9], [12]])
    found = align_labels(batch, mask, labels, torch.tensor([len(sentence), 5]))[0]
    assert (found * labels[0, :, None]).sum(dim=0).tolist() == path + [PAD] * 3
