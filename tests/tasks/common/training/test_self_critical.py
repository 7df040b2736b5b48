"""Self-critical training: the gradient of the expected reward, and a second phase that raises what it is for."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import run
from decoders.base import BOS, EOS, PAD, UNK, Hypothesis
from decoders.ctc import CTC
from decoders.config import SearchConfig
from encoders.base import Encoder, Memory, SourceBatch
from tasks.common.config import AttentionConfig, Config, DecoderConfig
from tasks.common.data.tables import Batch
from tasks.common.errors import UsageError
from tasks.common.model import Seq2Seq, build_decoder
from tasks.common.text.tokenizer import Tokenizer, VocabularyConfig
from tasks.common.training.optimization import TrainConfig
from tasks.common.training.self_critical import SelfCritical

REFERENCES = [["a red cat", "a cat"], ["two dogs", "two dogs run"], ["a red dog", "one dog"]]


class Given(Encoder):
    """Its memory is its input."""

    dim = 8

    def forward(self, source: SourceBatch) -> Memory:
        return Memory(source.values, source.mask, source.values[:, 0])


@pytest.fixture
def vocabulary() -> Tokenizer:
    texts = [text for given in REFERENCES for text in given]
    return Tokenizer.train(texts, VocabularyConfig(kind="word", size=50, min_frequency=1))


@pytest.fixture
def objective(make_table, vocabulary) -> SelfCritical:
    table = make_table(len(vocabulary), ending=2.0)
    table.table = nn.Parameter(table.table)
    encoder = Given()
    encoder.dim = len(vocabulary)
    return SelfCritical(Seq2Seq(encoder, table), vocabulary, REFERENCES, SearchConfig(max_length=4), draws=3)


def batch(size: int, rows: list[int]) -> Batch:
    values = torch.randn(len(rows), 2, size)
    return Batch(SourceBatch(values, torch.ones(len(rows), 2, dtype=torch.bool)), torch.ones(len(rows), 3).long(), rows)


def test_the_gradient_is_that_of_the_rewards_above_the_others_mean(objective, vocabulary, monkeypatch):
    words = {word: vocabulary.encode([word])[0][0] for word in ("cat", "two", "dogs")}
    drawn = [[[words["cat"]], [words["two"], words["dogs"]], []]]
    rewards = {1: 1.0, 2: 4.0, 0: 0.0}
    hypotheses = [[Hypothesis(tokens, 0.0) for tokens in several] for several in drawn]
    monkeypatch.setattr(objective, "draw", lambda memory: hypotheses)
    monkeypatch.setattr(objective, "reward", lambda row, one: rewards[len(one.tokens)])
    given = batch(len(vocabulary), [1])
    summary = given.source.values[0, 0]
    table = objective.model.decoder
    expected = torch.zeros(())
    for tokens in drawn[0]:
        others = [rewards[len(other)] for other in drawn[0] if other is not tokens]
        log_probability, last = torch.zeros(()), [0, 2]
        for token in [*tokens, EOS]:
            energies = table.table[last[0], last[1]] + summary
            written = energies.index_fill(0, torch.tensor([PAD, UNK, BOS]), float("-inf"))  # which are never drawn
            log_probability = log_probability + written.log_softmax(-1)[token]
            last = [last[1], token]
        expected = expected - (rewards[len(tokens)] - sum(others) / 2) * log_probability / 3
    (gold,) = torch.autograd.grad(expected, table.table)
    (own,) = torch.autograd.grad(objective(given), table.table)
    assert_close(own, gold)


def test_following_it_raises_the_reward(objective, vocabulary):
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.1)
    given = batch(len(vocabulary), [0, 1, 2])

    def reward() -> float:
        memory = objective.model.encoder(given.source)
        rows = [objective.draw(memory) for _ in range(20)]
        return sum(objective.reward(row, one) for drawn in rows for row, several in enumerate(drawn) for one in several)

    before = reward()
    for _ in range(60):
        optimizer.zero_grad()
        objective(given).backward()
        optimizer.step()
    assert reward() > 1.5 * before


def test_what_is_never_drawn_is_not_made_likelier(objective, vocabulary):
    objective(batch(len(vocabulary), [0, 1, 2])).backward()
    gradient = objective.model.decoder.table.grad
    assert gradient.abs().sum() > 0
    assert_close(gradient[..., [PAD, UNK, BOS]], torch.zeros(*gradient.shape[:2], 3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["two layers", "transformer"])
def test_sentences_are_learned_in_the_model_that_drew_them(kind, objective, vocabulary):
    """Nothing in it is random any more, wherever it was: between layers, inside of attention."""
    decoding = DecoderConfig(
        kind="transformer" if kind == "transformer" else "attention", hidden=8, embedding=8, layers=2, dropout=0.9
    )
    looking = AttentionConfig(score="general")
    decoder = build_decoder(nn.Embedding(len(vocabulary), 8), 8, Config(decoder=decoding, attention=looking))
    objective.model.decoder = objective.decoder = decoder
    objective.train()
    objective(batch(8, [0, 1, 2]))
    tokens, memory = torch.randint(4, 8, (3, 5)), objective.model.encoder(batch(8, [0, 1, 2]).source)
    assert_close(decoder(tokens, memory).features, decoder(tokens, memory).features, rtol=0, atol=0)
    assert_close(decoder.unroll(tokens, memory).features, decoder(tokens, memory).features)


def test_the_end_is_worth_something_only_where_it_was_written(objective, vocabulary):
    (ids,) = vocabulary.encode(["a red cat"])
    assert objective.reward(0, Hypothesis(ids, 0.0)) > objective.reward(1, Hypothesis(ids, 0.0))
    objective.search = dataclasses.replace(objective.search, max_length=len(ids))
    cut_off = objective.reward(0, Hypothesis(ids, 0.0))
    objective.search = dataclasses.replace(objective.search, max_length=len(ids) + 1)
    assert objective.reward(0, Hypothesis(ids, 0.0)) > cut_off


def test_a_decoder_that_cannot_follow_is_refused(vocabulary):
    model = Seq2Seq(Given(), CTC(8, len(vocabulary)))
    with pytest.raises(ValueError, match=r"--decoder\.kind attention"):
        SelfCritical(model, vocabulary, REFERENCES, SearchConfig(), draws=2)
    config = Config(attention=AttentionConfig(selection="hard"))
    hard = Seq2Seq(Given(), build_decoder(nn.Embedding(len(vocabulary), 8), 8, config))
    with pytest.raises(ValueError, match=r"another --attention\.area"):
        SelfCritical(hard, vocabulary, REFERENCES, SearchConfig(), draws=2)
    with pytest.raises(ValueError, match="draws is 1"):
        TrainConfig(objective="scst", scst_samples=1)


def test_a_second_phase_starts_from_a_run_and_can_be_resumed_without_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run.main(["image_captioning", "train", "tiny", "--num-scenes", "32", "--run", "first", "--train.epochs", "1"])
    second = ["image_captioning", "train", "--run", "second", "--train.objective", "scst", "--train.epochs", "2"]
    run.main([*second, "--init-from", "first", "--train.lr", "1e-4"])
    config = json.loads(Path("second/config.json").read_text())["config"]
    assert config["scenes"] == 32  # of the run, not of a preset
    assert config["train"]["objective"] == "scst"
    assert Path("first/vocabulary.json").read_text() == Path("second/vocabulary.json").read_text()
    assert len(Path("second/metrics.jsonl").read_text().splitlines()) == 2
    monkeypatch.setattr(run.sys, "stderr", run.sys.__stderr__)
    run.main(["image_captioning", "train", "--run", "second", "--resume", "--train.epochs", "3"])
    assert len(Path("second/metrics.jsonl").read_text().splitlines()) == 3


def test_a_run_to_start_from_that_is_not_there_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from tasks.common.cli.commands import train

    with pytest.raises(UsageError, match="no run in nowhere"):
        train("image_captioning", ["tiny", "--init-from", "nowhere"])
