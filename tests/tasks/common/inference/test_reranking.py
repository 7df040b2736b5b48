"""Likelihoods of given sentences, perplexity, and ranking by a model of the other direction."""

import dataclasses
import math

import pytest
import torch
from torch.testing import assert_close

from decoders import BOS, EOS, PAD
from decoders.base import Hypothesis
from decoders.config import SearchConfig
from encoders import Memory
from tasks.common.inference.evaluation import Predictor, perplexity
from tasks.common.inference.reranking import Reranker
from tasks.toy_world import scenes
from tasks.translation import PRESETS, Task

SENTENCES = ["eine rote Sieben", "hier ist eine kleine Vier."]


@pytest.fixture
def memory(make_memory) -> Memory:
    return make_memory([2, 3, 1], 7)


def test_a_log_likelihood_is_the_sum_over_a_sentences_words_and_its_end(make_table, memory):
    decoder = make_table(7)
    sentences = [[4, 5], [6], []]
    width = max(map(len, sentences)) + 2
    framed = [[BOS, *tokens, EOS] + [PAD] * (width - len(tokens) - 2) for tokens in sentences]
    found = decoder.log_likelihood(torch.tensor(framed), memory)
    expected = [decoder.log_probability(one, tokens) for one, tokens in zip(memory.summary, sentences, strict=True)]
    assert_close(found.tolist(), expected, rtol=1e-4, atol=1e-4)


def task_of(source: str, target: str) -> Task:
    task = Task(dataclasses.replace(PRESETS["tiny"](), source=source, target=target))
    task.fit(scenes.text_pairs("train", source, target, 64))
    return task


def test_perplexity_is_of_all_tokens_with_their_ends():
    task = task_of("de", "en")
    writer = Predictor(task, [task.build_model().eval()])
    examples = scenes.text_pairs("validation", "de", "en", 9)
    losses = [writer.models[0](task.collate(examples, [row])).item() for row in range(9)]
    tokens = sum(task.collate(examples, [row]).target_tokens for row in range(9))
    assert perplexity(writer, examples, task.lengths(examples)) == pytest.approx(
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
        reverse_log_probs = [reranker.reverse_log_probs([(line, source)])[0] for line in lines]
        scores = [(1 - weight) * one.score + weight * each for one, each in zip(given, reverse_log_probs, strict=True)]
        order = sorted(range(len(given)), key=lambda place: -scores[place])
        assert [one.tokens for one in best] == [given[place].tokens for place in order]
        assert [one.score for one in best] == pytest.approx([scores[place] for place in order], rel=1e-4)


def test_a_writer_with_a_reranker_chooses_among_its_whole_beam():
    forward, backward = task_of("de", "en"), task_of("en", "de")
    writer = Predictor(forward, [forward.build_model().eval()])
    config = SearchConfig(beam=4, max_length=5)
    everything = writer.write(SENTENCES, dataclasses.replace(config, n_best=4))
    reranker = Reranker(backward, backward.build_model().eval(), 1.0)
    chosen = dataclasses.replace(writer, reranker=reranker).write(SENTENCES, config)
    for best, beam, source in zip(chosen, everything, SENTENCES, strict=True):
        reverse_log_probs = reranker.reverse_log_probs([(forward.written(one.tokens), source) for one in beam])
        assert [one.tokens for one in best] == [beam[reverse_log_probs.index(max(reverse_log_probs))].tokens]


def test_only_a_run_of_the_other_direction_turns_round():
    assert task_of("en", "de").is_reverse_of(task_of("de", "en"))
    assert not task_of("de", "en").is_reverse_of(task_of("de", "en"))
    assert not task_of("fr", "de").is_reverse_of(task_of("de", "en"))
