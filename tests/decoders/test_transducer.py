"""The transducer, on toys whose every path through the lattice can be enumerated: loss, search and alignment."""

import functools
import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from attention.fixed_context import NoContext
from attention.memory import Memory
from attention.score_functions import LocationSensitive, build_score
from attention.scored import ScoredAttention
from decoders.base import BOS, EOS, PAD, UNK, DecoderState
from decoders.config import SearchConfig
from decoders.recurrent import RecurrentDecoder
from decoders.transducer import Transducer

DIM, HIDDEN, VOCAB = 5, 6, 7
KINDS = ["plain", "luong", "bahdanau", "input feeding", "readout", "location"]

every_kind = pytest.mark.parametrize("kind", KINDS)
every_beam = pytest.mark.parametrize("beam", [1, 2, 5])


def build(kind: str, vocab: int = VOCAB) -> Transducer:
    """Build a plain transducer, or one whose prediction network attends to the memory."""
    if kind == "plain":
        attention = NoContext()
    elif kind == "location":
        attention = ScoredAttention(LocationSensitive(HIDDEN, DIM, 4), DIM)
    else:
        attention = ScoredAttention(build_score("additive", HIDDEN, DIM, 4), DIM)
    predictor = RecurrentDecoder(
        nn.Embedding(vocab, HIDDEN),
        attention,
        HIDDEN,
        DIM,
        attention_order="bahdanau" if kind == "bahdanau" else "luong",
        input_feeding=kind == "input feeding",
        readout="recurrent" if kind == "readout" else "feedforward",
        init_state="zeros" if kind == "plain" else "projection",
    )
    transducer = Transducer(predictor, DIM).eval()
    for parameter in transducer.parameters():
        nn.init.normal_(parameter)
    return transducer


@pytest.fixture
def transducer() -> Transducer:
    return build("luong")


@pytest.fixture
def memory(make_memory) -> Memory:
    return make_memory([4, 2, 3], DIM)


def add_bos_eos(*sentences: list[int]) -> Tensor:
    """Wrap sentences in BOS and EOS, and pad them."""
    longest = max(map(len, sentences))
    return torch.tensor([[BOS, *words, EOS, *[PAD] * (longest - len(words))] for words in sentences])


Chances = Callable[[tuple[int, ...]], list[list[dict[int, float]]]]


def chances(transducer: Transducer, memory: Memory) -> Chances:
    """Return a function from labels to the probability of each entry by frame and number of labels.

    Computed by the formula, with the prediction network step by step, once for each beginning of the labels. The memory
    is of one sentence.
    """
    predictor = transducer.predictor

    @functools.cache
    @torch.no_grad()
    def column(words: tuple[int, ...]) -> tuple[list[dict[int, float]], DecoderState]:
        token, state = (words[-1], column(words[:-1])[1]) if words else (BOS, predictor.init_state(memory))
        output, state = predictor.step(torch.tensor([token]), state)
        hidden = torch.tanh(transducer.frame_proj(memory.states[0]) + output.features[0])
        logits = predictor.logits(hidden).double()
        logits[:, [BOS, EOS]] = -math.inf
        return [dict(enumerate(row)) for row in logits.softmax(dim=-1).tolist()], state

    def table(words: tuple[int, ...]) -> list[list[dict[int, float]]]:
        columns = [column(words[:length])[0] for length in range(len(words) + 1)]
        return [list(row) for row in zip(*columns, strict=True)]

    return table


def paths(num_frames: int, num_words: int) -> Iterator[tuple[int, ...]]:
    """Return every path of the labels: for each of them, the frame where it is emitted."""
    return itertools.combinations_with_replacement(range(num_frames), num_words)


def path_chance(table: list[list[dict[int, float]]], words: tuple[int, ...], path: tuple[int, ...]) -> float:
    chance = 1.0
    for number, (word, frame) in enumerate(zip(words, path, strict=True)):
        chance *= table[frame][number][word]
    for frame, row in enumerate(table):
        chance *= row[sum(emitted <= frame for emitted in path)][PAD]
    return chance


def chance(tables: Chances, words: tuple[int, ...]) -> float:
    """Return a sentence's probability: the sum over all paths."""
    table = tables(words)
    return sum(path_chance(table, words, path) for path in paths(len(table), len(words)))


def every_sentence(vocab: int, max_length: int) -> list[tuple[int, ...]]:
    words = range(EOS + 1, vocab)
    return [line for length in range(max_length + 1) for line in itertools.product(words, repeat=length)]


@every_kind
def test_the_loss_is_the_sum_over_all_paths(kind, memory, alone):
    transducer = build(kind)
    for batch in ([[4, 4, 5], [6], []], [[UNK, 5], [4, 5, 4, 5, 6], [6, 6]]):
        tables = (chances(transducer, alone(memory, row)) for row in range(len(batch)))
        expected = sum(-math.log(chance(table, tuple(line))) for table, line in zip(tables, batch, strict=True))
        assert transducer.loss(add_bos_eos(*batch), memory).total.item() == pytest.approx(expected, rel=1e-5)


def test_all_sentences_together_have_probability_one(memory, alone):
    transducer = build("plain", vocab=EOS + 2)
    with torch.no_grad():
        transducer.predictor.output.bias[PAD] += 8  # so that long sentences have almost no probability
    for row in range(3):
        sentences = [line for length in range(6) for line in itertools.product((UNK, 4), repeat=length)]
        losses = [transducer.loss(add_bos_eos(list(line)), alone(memory, row)).total.item() for line in sentences]
        assert sum(math.exp(-loss) for loss in losses) == pytest.approx(1.0, abs=1e-3)


def test_an_empty_sentence_consists_of_blanks(transducer, memory, alone):
    for row in range(3):
        table = chances(transducer, alone(memory, row))(())
        expected = -sum(math.log(frame[0][PAD]) for frame in table)
        assert transducer.loss(add_bos_eos([]), alone(memory, row)).total.item() == pytest.approx(expected, rel=1e-5)


@every_kind
def test_padding_never_changes_a_loss_or_an_alignment(kind, memory, alone):
    transducer = build(kind)
    tokens = add_bos_eos([4], [5, 6, 4], [])
    wide = nn.functional.pad(tokens, (0, 3), value=PAD)
    longer = Memory(
        nn.functional.pad(memory.states, (0, 0, 0, 2), value=50.0),
        nn.functional.pad(memory.mask, (0, 2)),
        memory.summary,
    )
    assert_close(transducer.loss(wide, longer).total, transducer.loss(tokens, memory).total)
    aligned = transducer.alignment(wide, longer)
    assert_close(aligned[:, :3, :4], transducer.alignment(tokens, memory), atol=1e-5, rtol=1e-4)
    assert aligned.shape == (3, 6, 6)
    assert not aligned[:, 3:].any() and not aligned[:, :, 4:].any()
    by_themselves = [transducer.loss(tokens[row : row + 1], alone(memory, row)).total for row in range(3)]
    assert_close(transducer.loss(tokens, memory).total, torch.stack(by_themselves).sum())


@every_kind
def test_gradients_reach_every_parameter_and_every_real_frame_and_no_padding(kind, memory):
    transducer = build(kind)
    states, summary = memory.states.requires_grad_(), memory.summary
    transducer.loss(add_bos_eos([4, 4], [5], [4, 4, 4, 4, 4]), Memory(states, memory.mask, summary)).total.backward()
    assert torch.equal(states.grad.abs().sum(dim=-1) > 0, memory.mask)
    for name, parameter in transducer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name


def test_with_attention_labels_depend_on_later_frames(make_memory, alone):
    memory = alone(make_memory([4], DIM), 0)
    changed = Memory(memory.states.clone(), memory.mask, memory.summary)
    changed.states[:, -1] += 1
    for kind, depends in ("plain", False), ("luong", True):
        transducer = build(kind)
        first, other = (transducer.lattice(torch.tensor([[4, 5]]), each)[:, 0] for each in (memory, changed))
        assert torch.equal(first, other) != depends


def plain_greedy(transducer: Transducer, memory: Memory, max_length: int) -> tuple[list[int], float]:
    """Follow the most probable entry, one cell of the lattice after the other."""
    words: list[int] = []
    frame, score = 0, 0.0
    tables = chances(transducer, memory)
    table = tables(())
    while frame < len(table):
        cell = table[frame][-1]
        entries = [PAD, *range(EOS + 1, len(cell))] if len(words) < max_length else [PAD]
        token = max(entries, key=cell.__getitem__)
        score += math.log(cell[token])
        if token == PAD:
            frame += 1
        else:
            words.append(token)
            table = tables(tuple(words))
    return words, score


@every_kind
@pytest.mark.parametrize("max_length", [2, 8])
def test_a_beam_of_one_is_greedy(kind, max_length, make_memory, alone):
    transducer, memory = build(kind), make_memory([4, 2, 3, 9, 1, 6], DIM)
    for row, (one,) in enumerate(transducer.search(memory, SearchConfig(beam=1, max_length=max_length))):
        words, score = plain_greedy(transducer, alone(memory, row), max_length)
        assert one.tokens == words
        assert one.score == pytest.approx(score, rel=1e-4, abs=1e-4)


@every_kind
@pytest.mark.parametrize("max_length", [1, 3])
def test_a_wide_beam_equals_brute_force(kind, max_length, memory, alone):
    """Each sentence is found once, with the sum of all its paths, so paths with the same labels are merged."""
    transducer = build(kind)
    found = transducer.search(memory, SearchConfig(beam=100, n_best=100, max_length=max_length))
    for row, hypotheses in enumerate(found):
        sentences = every_sentence(VOCAB, max_length)
        tables = chances(transducer, alone(memory, row))
        scored = [(math.log(chance(tables, words)), words) for words in sentences]
        ranked = sorted(scored, reverse=True)
        assert [tuple(one.tokens) for one in hypotheses] == [words for _, words in ranked]
        expected = [score for score, _ in ranked]
        assert [one.score for one in hypotheses] == pytest.approx(expected, rel=1e-4, abs=1e-4)


def plain_beam(
    transducer: Transducer, memory: Memory, beam: int, max_length: int
) -> list[tuple[tuple[int, ...], float]]:
    """Saon et al. 2020 over a dictionary of hypotheses, without early stopping."""
    num_frames = memory.mask.size(1)
    table = chances(transducer, memory)
    finished: dict[tuple[int, ...], float] = {}
    hypotheses = {(): 1.0}
    for step in range(num_frames + max_length):
        following: dict[tuple[int, ...], float] = defaultdict(float)
        for words, before in hypotheses.items():
            cell = table(words)[step - len(words)][-1]
            following[words] += before * cell[PAD]
            for word in range(EOS + 1, len(cell)) if len(words) < max_length else ():
                following[(*words, word)] += before * cell[word]
        best = dict(sorted(following.items(), key=lambda item: -item[1])[:beam])
        finished |= {words: score for words, score in best.items() if step + 1 - len(words) == num_frames}
        hypotheses = {words: score for words, score in best.items() if words not in finished}
    return sorted(finished.items(), key=lambda item: -item[1])


@pytest.mark.parametrize("kind", ["plain", "input feeding", "readout"])
@pytest.mark.parametrize("beam, n_best", [(2, 1), (3, 3), (6, 4)])
def test_a_narrow_beam_equals_the_plain_loop(kind, beam, n_best, make_memory, alone):
    transducer, memory = build(kind, vocab=9), make_memory([7, 1, 5, 8], DIM)
    with torch.no_grad():
        transducer.predictor.output.bias[PAD] += 2
    found = transducer.search(memory, SearchConfig(beam=beam, n_best=n_best, max_length=6))
    for row, hypotheses in enumerate(found):
        expected = plain_beam(transducer, alone(memory, row), beam, 6)[:n_best]
        assert [tuple(one.tokens) for one in hypotheses] == [words for words, _ in expected]
        scores = [math.log(score) for _, score in expected]
        assert [one.score for one in hypotheses] == pytest.approx(scores, rel=1e-4, abs=1e-4)


def test_a_sentence_is_not_done_while_unfinished_hypotheses_are_together_more_probable(monkeypatch):
    """The empty sentence finishes with 0.36, when a word has 0.34 and two words have 0.3; they become 0.64."""
    transducer, word = build("plain"), EOS + 1
    emissions = torch.tensor([[0.4, 0.75, 0.0], [0.4, 1.0, 0.0]])  # of a label, by frame and number of labels
    states = torch.arange(2.0)[None, :, None].expand(-1, -1, HIDDEN)  # the index of each frame
    memory = Memory(states, torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, HIDDEN))
    known = transducer.predictor(torch.tensor([[BOS, word, word]]), memory).features[0]

    def scores(frames: Tensor, features: Tensor) -> Tensor:
        number = (features[..., None, :] - known).norm(dim=-1).argmin(dim=-1)
        emission = emissions[frames[..., 0].long(), number]
        chances = torch.zeros(*emission.shape, VOCAB)
        chances[..., word], chances[..., PAD] = emission, 1 - emission
        return chances.log()

    monkeypatch.setattr(transducer, "project_frames", lambda memory: memory.states)
    monkeypatch.setattr(transducer, "joint_log_probs", scores)
    ((found,),) = transducer.search(memory, SearchConfig(beam=5, max_length=2))
    assert found.tokens == [word, word]
    assert found.score == pytest.approx(math.log(0.64))


@every_kind
@every_beam
def test_a_sentence_in_a_batch_gets_the_same_result_as_alone(kind, beam, make_memory, alone):
    transducer, memory = build(kind), make_memory([4, 9, 1, 3], DIM)
    config = SearchConfig(beam=beam, n_best=beam, max_length=12)
    for row, together in enumerate(transducer.search(memory, config)):
        (by_itself,) = transducer.search(alone(memory, row), config)
        assert [one.tokens for one in together] == [one.tokens for one in by_itself]
        assert [one.score for one in together] == pytest.approx([one.score for one in by_itself], rel=1e-4, abs=1e-4)


@every_beam
def test_probable_blanks_give_an_empty_sentence_and_improbable_ones_the_longest(beam, transducer, memory):
    config = SearchConfig(beam=beam, max_length=6)
    with torch.no_grad():
        transducer.predictor.output.bias[PAD] += 1000
    assert [found[0].tokens for found in transducer.search(memory, config)] == [[], [], []]
    with torch.no_grad():
        transducer.predictor.output.bias[PAD] -= 2000
    assert [len(found[0].tokens) for found in transducer.search(memory, config)] == [6, 6, 6]


@every_beam
def test_unk_is_never_generated(beam, transducer, memory):
    with torch.no_grad():
        transducer.predictor.output.bias[UNK] += 50
    for found in transducer.search(memory, SearchConfig(beam=beam, n_best=beam, max_length=6)):
        assert found
        assert all(UNK not in one.tokens for one in found)


@every_kind
def test_alignment_is_the_share_of_the_paths_that_emit_a_label_at_a_frame(kind, memory, alone):
    transducer = build(kind)
    sentences = [4, 4, 5], [5, 6, 4], [6]
    expected = torch.zeros(3, 3, 4)
    for row, words in enumerate(sentences):
        table = chances(transducer, alone(memory, row))(tuple(words))
        for path in paths(len(table), len(words)):
            for number, frame in enumerate(path):
                expected[row, number, frame] += path_chance(table, tuple(words), path)
    expected /= expected.sum(dim=-1, keepdim=True).clamp(min=1e-30)
    assert_close(transducer.alignment(add_bos_eos(*sentences), memory), expected, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_alignment_works_in_every_mode_and_leaves_no_gradient(mode, transducer, memory):
    with mode():
        states = torch.cat([memory.states])  # created in this mode
        aligned = transducer.alignment(add_bos_eos([4, 5, 4], [5], []), Memory(states, memory.mask, memory.summary))
    assert not aligned.requires_grad
    assert_close(aligned.sum(dim=-1), torch.tensor([[1.0, 1, 1], [1, 0, 0], [0, 0, 0]]))
    assert all(parameter.grad is None for parameter in transducer.parameters())
