"""Likelihoods of given sentences, perplexity, and reranking by a model of the opposite direction."""

import dataclasses
import math

import pytest
import torch
from torch.testing import assert_close

from attention.memory import Memory
from decoders.base import BOS, EOS, PAD, Hypothesis
from decoders.config import SearchConfig
from tasks.common.inference.evaluation import compute_perplexity
from tasks.common.inference.predictor import Predictor
from tasks.common.inference.reranking import Reranker, is_reverse_of
from tasks.common.processes import Processes
from tasks.toy_world import scenes
from tasks.translation import PRESETS
from tasks.translation.task import Translation as Task

SENTENCES = ["eine rote Sieben", "hier ist eine kleine Vier."]


@pytest.fixture
def memory(make_memory) -> Memory:
    return make_memory([2, 3, 1], 7)


def test_a_log_likelihood_is_the_sum_over_a_sentences_words_and_its_end(make_table, memory):
    decoder = make_table(7)
    sentences = [[4, 5], [6], []]
    width = max(map(len, sentences)) + 2
    with_bos_eos = [[BOS, *tokens, EOS] + [PAD] * (width - len(tokens) - 2) for tokens in sentences]
    found = decoder.log_likelihood(torch.tensor(with_bos_eos), memory)
    expected = [decoder.log_prob(one, tokens) for one, tokens in zip(memory.summary, sentences, strict=True)]
    assert_close(found.tolist(), expected, rtol=1e-4, atol=1e-4)


def task_of(source: str, target: str) -> Task:
    task = Task(dataclasses.replace(PRESETS["tiny"](), source=source, target=target))
    task.fit(scenes.text_pairs("train", source, target, 64))
    return task


def test_perplexity_is_of_all_tokens_with_their_ends():
    task = task_of("de", "en")
    predictor = Predictor(task, [task.build_model().eval()])
    examples = scenes.text_pairs("validation", "de", "en", 9)
    losses = [predictor.models[0](task.collate(examples, [row])).nll.item() for row in range(9)]
    tokens = sum(task.collate(examples, [row]).num_target_tokens for row in range(9))
    assert compute_perplexity(predictor, examples, task.example_lengths(examples), Processes()) == pytest.approx(
        math.exp(sum(losses) / tokens), rel=1e-4
    )


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_hypotheses_are_ranked_by_both_directions(weight):
    backward = task_of("en", "de")
    reranker = Reranker(backward, backward.build_model().eval(), weight)
    texts = [["a red seven", "a blue two", "here"], ["here is a small four."]]
    ranked = [[Hypothesis([4 + place], -0.1 * place) for place in range(len(row))] for row in texts]
    found = reranker.rank(SENTENCES, ranked, texts)
    for best, given, lines, source in zip(found, ranked, texts, SENTENCES, strict=True):
        reverse = [reranker.reverse_log_probs([(line, source)])[0] for line in lines]
        scores = [(1 - weight) * one.score + weight * each for one, each in zip(given, reverse, strict=True)]
        order = sorted(range(len(given)), key=lambda place: -scores[place])
        assert [one.tokens for one in best] == [given[place].tokens for place in order]
        assert [one.score for one in best] == pytest.approx([scores[place] for place in order], rel=1e-4)


def test_a_predictor_with_a_reranker_chooses_from_the_whole_beam():
    forward, backward = task_of("de", "en"), task_of("en", "de")
    predictor = Predictor(forward, [forward.build_model().eval()])
    config = SearchConfig(beam=4, max_length=5)
    everything = predictor.generate(SENTENCES, dataclasses.replace(config, n_best=4))
    reranker = Reranker(backward, backward.build_model().eval(), 1.0)
    chosen = dataclasses.replace(predictor, reranker=reranker).generate(SENTENCES, config)
    for best, beam, source in zip(chosen, everything, SENTENCES, strict=True):
        reverse = reranker.reverse_log_probs([(forward.detokenize(one.tokens), source) for one in beam])
        assert [one.tokens for one in best] == [beam[reverse.index(max(reverse))].tokens]


def test_only_a_task_of_the_opposite_direction_is_the_reverse():
    assert is_reverse_of(task_of("en", "de"), task_of("de", "en"))
    assert not is_reverse_of(task_of("de", "en"), task_of("de", "en"))
    assert not is_reverse_of(task_of("fr", "de"), task_of("de", "en"))
