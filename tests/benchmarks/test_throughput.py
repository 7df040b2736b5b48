"""The benchmark of speed runs: every model of every modality, on a few examples."""

import argparse
import json
import math
from dataclasses import replace

import candidates
import first_output
import hardware_limit
import measure
import peers
import pytest
import throughput
import torch
import transformers_predict
from torch import nn

from encoders.base import SourceBatch
from tasks import run
from tasks.common.data.batching import Batch

NUM_EXAMPLES, NUM_WORDS, NUM_TOKENS = 12, 40, 3
OPTIONS = {"precision": "no", "warmup": 1, "steps": 2, "sources": 2}
ALL = [
    (modality, name)
    for modality, spec in candidates.MODALITIES.items()
    for name in (*spec.configs, *peers.PEERS[modality])
    if name != throughput.SPEECHBRAIN
]


@pytest.fixture(scope="module")
def data(tmp_path_factory, request):
    """Synthetic data of each modality, and models with small batches that measure a small product as the limit."""
    folder = tmp_path_factory.mktemp("data")
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    patch.setattr(hardware_limit, "PEAK_SIDE", {"cpu": 64})
    for name, spec in candidates.MODALITIES.items():
        (folder / name).mkdir()
        spec.save_data(folder / name, NUM_EXAMPLES, NUM_WORDS)
        configs = {key: replace(each, batch=replace(each.batch, max_sources=2)) for key, each in spec.configs.items()}
        patch.setitem(candidates.MODALITIES, name, replace(spec, configs=configs, output_length=NUM_TOKENS))
    yield folder
    patch.undo()


@pytest.mark.parametrize(("modality", "name"), ALL)
def test_a_model_is_measured(modality, name, data, tmp_path):
    candidate = measure.build_candidate(modality, name, data / modality, "no", tmp_path)
    report = measure.measure(candidate, argparse.Namespace(modality=modality, **OPTIONS))
    assert set(throughput.COLUMNS) - {"first_output_s"} <= set(report)
    assert all(math.isfinite(value) and value > 0 for value in report.values())


@pytest.mark.parametrize("modality", candidates.MODALITIES)
def test_models_of_a_modality_have_the_same_batches(modality, data):
    shapes = []
    for name in candidates.MODALITIES[modality].configs:
        _, batches = candidates.load_batches(candidates.build_task(modality, name, data / modality))
        step = next(candidates.repeat_epochs(batches))
        shapes.append((step.batches[0].source.values.shape, step.batches[0].tokens.shape))
    assert len(set(shapes)) == 1


@pytest.mark.parametrize("name", peers.PEERS["text"])
def test_a_peer_counts_no_padding(name):
    peer = peers.PEERS["text"][name].build(NUM_WORDS, 0.3).eval()
    source, tokens = torch.randint(4, NUM_WORDS, (3, 5)), torch.randint(4, NUM_WORDS, (3, 6))
    mask = torch.ones_like(source, dtype=torch.bool)
    padded_source, padded_mask = (nn.functional.pad(each, (0, 2)) for each in (source, mask))
    loss = peer.loss(Batch(SourceBatch(source, mask), tokens, [0, 1, 2]))
    padded = peer.loss(Batch(SourceBatch(padded_source, padded_mask), nn.functional.pad(tokens, (0, 4)), [0, 1, 2]))
    torch.testing.assert_close(padded, loss)


def test_the_cost_of_an_lstm_is_that_of_its_matrices():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(8, 16, batch_first=True)
            self.output = nn.Linear(16, 10)

        def forward(self, inputs):
            return self.output(self.lstm(inputs)[0]).sum()

    inputs = torch.randn(2, 5, 8, requires_grad=True)
    batch = Batch(SourceBatch(inputs, torch.ones(2, 5, dtype=torch.bool)), torch.full((2, 6), 7), [0, 1])
    cost = hardware_limit.measure_cost(
        Model(), lambda model, batch: model(batch.source.values), batch, torch.device("cpu")
    )
    recurrent, dense = 3 * 2 * 2 * 5 * 4 * 16 * (8 + 16), 3 * 2 * 2 * 5 * 16 * 10
    assert cost.recurrent_flops == recurrent
    # The first hidden state is zero and needs no gradient, and the gradients of the biases are no products.
    assert cost.flops == pytest.approx(recurrent + dense, rel=0.1)
    assert cost.num_tokens == 10
    of_products, of_layers = cost.tokens_per_second(peak_flops=1e9)
    assert of_products == pytest.approx(10 * 1e9 / cost.flops)
    assert of_layers == pytest.approx(10 / (cost.recurrent_s + (cost.flops - recurrent) / 1e9))


def test_a_layer_that_is_taken_step_by_step_counts_as_one_call(data, tmp_path):
    trainer = candidates.build_trainer("text", "lstm_input_feeding", data / "text", tmp_path)
    batch = next(candidates.repeat_epochs(trainer.batches)).batches[0]
    calls = hardware_limit.recurrent_calls(trainer.model, lambda: trainer.model(batch), batch)
    decoder = [call for call in calls if call.layer is trainer.model.decoder.cell.rnn]
    assert [(call.rows, call.steps) for call in decoder] == [(batch.tokens.size(0), batch.tokens.size(1) - 1)]
    assert len(calls) == 3  # with both directions of the encoder


def test_the_first_output_of_each_program(data, tmp_path, monkeypatch, capsys):
    commands = {}
    for name in ("lstm", "marian"):
        folder = tmp_path / name
        assert first_output.save_model("text", name, data / "text", folder)
        commands[name] = first_output.prediction_command("text", name, data / "text", folder, "cpu")
    capsys.readouterr()
    for name, main in (("lstm", lambda: run.main()), ("marian", transformers_predict.main)):
        _, script, *arguments = commands[name]
        monkeypatch.setattr("sys.argv", [script, *arguments])
        main()
        assert len(capsys.readouterr().out.split()) == NUM_TOKENS


def test_joeynmt_is_asked_for_the_same_work(tmp_path, monkeypatch):
    options = throughput.build_parser().parse_args(
        ["--data", str(tmp_path), "--joeynmt", "other-python", "--steps", "4"]
    )
    bench = throughput.Bench("text", tmp_path, options)
    assert throughput.JOEYNMT in bench.candidates()
    python, script, *flags = bench.joeynmt_command()
    monkeypatch.setattr("sys.argv", [script, *flags])
    import joeynmt_peer

    parsed = joeynmt_peer.build_parser().parse_args(flags)
    assert (python, parsed.steps, parsed.sentences) == ("other-python", 4, options.sources)
    assert parsed.source_vocab_size == parsed.target_vocab_size == 7859


def test_the_table_has_medians_and_ratios():
    def report(rate):
        return {"parameters": 100, "train_tokens_per_second": rate, "train_peak_bytes": 2e6}

    reports = {"transformer": [report(rate) for rate in (20, 40, 30)], "marian": [report(10) for _ in range(3)]}
    table = throughput.to_table({"text": reports})
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in table.splitlines()}
    assert "30 (20–40)" in rows["text: transformer"] and "2 (2–2)" in rows["text: marian"]
    assert "3.00 (2.00–4.00)" in rows["*transformer / marian*"]
    assert len({line.count("|") for line in table.splitlines()}) == 1
    json.dumps(reports)
