"""Self-critical training: the gradient of the expected reward, and a second phase of training."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from attention.config import AttentionConfig
from attention.memory import Memory
from decoders.base import BOS, EOS, PAD, UNK, Hypothesis
from decoders.build import build_decoder
from decoders.config import RecurrentDecoderConfig, S2VTDecoderConfig, SearchConfig, TransformerDecoderConfig
from decoders.ctc import CTC
from encoders.base import Encoder, SourceBatch
from tasks import run
from tasks.common.cli.train_options import parse_command
from tasks.common.data.batching import Batch
from tasks.common.errors import UsageError
from tasks.common.model import Seq2Seq
from tasks.common.text.config import VocabularyConfig
from tasks.common.text.tokenizer import Tokenizer
from tasks.common.training.config import TrainConfig
from tasks.common.training.self_critical import SelfCritical

REFERENCES = [["a red cat", "a cat"], ["two dogs", "two dogs run"], ["a red dog", "one dog"]]


class Identity(Encoder):
    """An encoder whose memory is its input."""

    dim = 8

    def forward(self, source: SourceBatch) -> Memory:
        return Memory(source.values, source.mask, source.values[:, 0])


@pytest.fixture
def tokenizer() -> Tokenizer:
    texts = [text for given in REFERENCES for text in given]
    return Tokenizer.train(texts, VocabularyConfig(kind="word", size=50, min_frequency=1))


@pytest.fixture
def criterion(make_table, tokenizer) -> SelfCritical:
    table = make_table(len(tokenizer), eos_logit=2.0)
    table.table = nn.Parameter(table.table)
    encoder = Identity()
    encoder.dim = len(tokenizer)
    return SelfCritical(Seq2Seq(encoder, table), tokenizer, REFERENCES, SearchConfig(max_length=4), num_samples=3)


def batch(size: int, rows: list[int]) -> Batch:
    values = torch.randn(len(rows), 2, size)
    return Batch(SourceBatch(values, torch.ones(len(rows), 2, dtype=torch.bool)), torch.ones(len(rows), 3).long(), rows)


@pytest.mark.parametrize("max_length", [4, 2])
def test_the_gradient_is_that_of_the_rewards_above_the_others_mean(max_length, criterion, tokenizer, monkeypatch):
    """Of all that was sampled, so without an end that was forced by the maximal length."""
    criterion.search = dataclasses.replace(criterion.search, max_length=max_length)
    words = {word: tokenizer.encode([word])[0][0] for word in ("cat", "two", "dogs")}
    samples = [[[words["cat"]], [words["two"], words["dogs"]], []]]
    rewards = {1: 1.0, 2: 4.0, 0: 0.0}
    hypotheses = [[Hypothesis(tokens, 0.0) for tokens in several] for several in samples]
    monkeypatch.setattr(criterion, "sample", lambda memory: hypotheses)
    monkeypatch.setattr(criterion, "reward", lambda row, one: rewards[len(one.tokens)])
    given = batch(len(tokenizer), [1])
    summary = given.source.values[0, 0]
    table = criterion.model.decoder
    expected = torch.zeros(())
    for tokens in samples[0]:
        others = [rewards[len(other)] for other in samples[0] if other is not tokens]
        log_prob, last = torch.zeros(()), [0, 2]
        for token in [*tokens, EOS][:max_length]:
            energies = table.table[last[0], last[1]] + summary
            written = energies.index_fill(0, torch.tensor([PAD, UNK, BOS]), float("-inf"))  # which are never sampled
            log_prob = log_prob + written.log_softmax(-1)[token]
            last = [last[1], token]
        expected = expected - (rewards[len(tokens)] - sum(others) / 2) * log_prob / 3
    (gold,) = torch.autograd.grad(expected, table.table)
    (own,) = torch.autograd.grad(criterion(given).total, table.table)
    assert_close(own, gold)


def test_following_the_gradient_raises_the_reward(criterion, tokenizer):
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(criterion.parameters(), lr=0.1)
    given = batch(len(tokenizer), [0, 1, 2])

    def reward() -> float:
        memory = criterion.model.encoder(given.source)
        rows = [criterion.sample(memory) for _ in range(20)]
        return sum(
            criterion.reward(row, one) for samples in rows for row, several in enumerate(samples) for one in several
        )

    before = reward()
    for _ in range(60):
        optimizer.zero_grad()
        criterion(given).total.backward()
        optimizer.step()
    assert reward() > 1.5 * before


def test_tokens_that_are_never_sampled_become_no_more_probable(criterion, tokenizer):
    criterion(batch(len(tokenizer), [0, 1, 2])).total.backward()
    gradient = criterion.model.decoder.table.grad
    assert gradient.abs().sum() > 0
    assert_close(gradient[..., [PAD, UNK, BOS]], torch.zeros(*gradient.shape[:2], 3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["two layers", "transformer"])
def test_the_model_is_trained_without_dropout(kind, criterion, tokenizer):
    """Between layers and inside self-attention too."""
    config = TransformerDecoderConfig if kind == "transformer" else RecurrentDecoderConfig
    decoder = build_decoder(
        config(hidden_dim=8, embedding_dim=8, num_layers=2, dropout=0.9),
        AttentionConfig(score="general"),
        vocab_size=len(tokenizer),
        memory_dim=8,
    )
    criterion.model.decoder = criterion.decoder = decoder
    criterion.train()
    criterion(batch(8, [0, 1, 2]))
    tokens, memory = torch.randint(4, 8, (3, 5)), criterion.model.encoder(batch(8, [0, 1, 2]).source)
    assert_close(decoder(tokens, memory).features, decoder(tokens, memory).features, rtol=0, atol=0)
    assert_close(decoder.unroll(tokens, memory).features, decoder(tokens, memory).features)


def test_any_label_synchronous_decoder_can_be_trained(criterion, tokenizer):
    config = S2VTDecoderConfig(hidden_dim=8, embedding_dim=8)
    criterion.model.decoder = criterion.decoder = build_decoder(config, None, vocab_size=len(tokenizer), memory_dim=8)
    criterion.train()
    criterion(batch(8, [0, 1, 2])).total.backward()
    assert any(parameter.grad.any() for parameter in criterion.decoder.parameters() if parameter.grad is not None)


def test_the_end_is_rewarded_only_where_it_was_generated(criterion, tokenizer):
    (ids,) = tokenizer.encode(["a red cat"])
    assert criterion.reward(0, Hypothesis(ids, 0.0)) > criterion.reward(1, Hypothesis(ids, 0.0))
    criterion.search = dataclasses.replace(criterion.search, max_length=len(ids))
    cut_off = criterion.reward(0, Hypothesis(ids, 0.0))
    criterion.search = dataclasses.replace(criterion.search, max_length=len(ids) + 1)
    assert criterion.reward(0, Hypothesis(ids, 0.0)) > cut_off


def test_decoders_that_cannot_be_trained_so_are_refused(tokenizer):
    model = Seq2Seq(Identity(), CTC(8, len(tokenizer)))
    with pytest.raises(ValueError, match=r"decoder\.kind recurrent, transformer or s2vt"):
        SelfCritical(model, tokenizer, REFERENCES, SearchConfig(), num_samples=2)
    config = RecurrentDecoderConfig(hidden_dim=8, embedding_dim=8)
    decoder = build_decoder(config, AttentionConfig(selection="hard"), vocab_size=len(tokenizer), memory_dim=8)
    hard = Seq2Seq(Identity(), decoder)
    with pytest.raises(ValueError, match=r"attention\.selection soft"):
        SelfCritical(hard, tokenizer, REFERENCES, SearchConfig(), num_samples=2)
    with pytest.raises(ValueError, match="scst_samples is 1"):
        TrainConfig(objective="scst", scst_samples=1)


def test_a_second_phase_starts_from_a_run_and_can_be_resumed_without_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run.main(["image_captioning", "train", "tiny", "--num-scenes", "32", "--run", "first", "--train.epochs", "1"])
    second = ["image_captioning", "train", "--run", "second", "--train.objective", "scst", "--train.epochs", "2"]
    run.main([*second, "--init-from", "first", "--train.lr", "1e-4"])
    config = json.loads(Path("second/config.json").read_text())["config"]
    assert config["num_scenes"] == 32  # of the run, not of a preset
    assert config["train"]["objective"] == "scst"
    assert Path("first/vocabulary.json").read_text() == Path("second/vocabulary.json").read_text()
    assert len(Path("second/metrics.jsonl").read_text().splitlines()) == 2
    record = json.loads(Path("second/metrics.jsonl").read_text().splitlines()[0])
    assert "nll" in record["validation"] and "nll" not in record  # the likelihood of the references is not computed
    monkeypatch.setattr(run.sys, "stderr", run.sys.__stderr__)
    run.main(["image_captioning", "train", "--run", "second", "--resume", "--train.epochs", "3"])
    assert len(Path("second/metrics.jsonl").read_text().splitlines()) == 3


def test_a_missing_run_to_start_from_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no run in nowhere"):
        parse_command("image_captioning", ["tiny", "--init-from", "nowhere"])
