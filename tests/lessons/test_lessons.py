"""Each lesson runs at a tiny size: it returns a table and a figure, and the command saves both."""

from importlib import import_module
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import nn

from decoders.autoregressive import AutoregressiveDecoder
from decoders.base import EOS, PAD
from encoders.base import SourceBatch
from encoders.recurrent import RecurrentEncoder
from encoders.text import TextEncoder, TokenEmbedding
from lessons import LESSONS
from lessons.exposure_bias import find_errors
from lessons.figures import line_charts, smooth
from lessons.gradient_reach import gradient_reach, set_forget_bias
from lessons.initialization import build_stack, load_images, measure_layers
from lessons.lesson import lesson
from lessons.lesson_options import LessonOptions, parse_command
from lessons.padding import UnmaskedLists, loss_with_padding
from lessons.reading_order import percent_by_place
from lessons.toy_text import ToyLists, small_config, split_of
from lessons.training import build_model, mean_loss, prepare, train, validation_loss
from lessons.translating import GREEDY, name_group, percent_by_length, score, words_right
from tasks.common.cli import side_by_side
from tasks.common.data.batching import Batch
from tasks.common.inference.predictor import Predictor
from tasks.common.model import Seq2Seq

SHARED = {"__init__", "lesson", "lesson_options", "toy_text", "training", "translating", "aligning", "figures"}
FILES = {file.stem for file in Path(str(import_module("lessons").__file__)).parent.glob("*.py")}


def test_each_lesson_is_a_file_and_each_file_a_lesson():
    assert set(LESSONS) == FILES - SHARED


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_saves_its_table_and_its_figure(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(side_by_side, "count_cores", lambda: 1)  # no processes of its own
    monkeypatch.setenv("COLUMNS", "500")  # of a terminal so wide that no title is divided
    lesson(name, LessonOptions(run=str(tmp_path), tiny=True))
    header, _, *rows = (tmp_path / f"{name}.md").read_text(encoding="utf-8").splitlines()
    assert len(rows) > 1 and {row.count("|") for row in rows} == {header.count("|")}
    assert (tmp_path / f"{name}.png").stat().st_size > 5_000
    assert header.split("|")[1].strip() in capsys.readouterr().out


def test_lessons_are_listed(capsys):
    lesson(*parse_command([]))
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[: len(LESSONS)]] == list(LESSONS)


def test_lists_of_splits_are_disjoint_and_translated_word_for_word():
    task = ToyLists(small_config(), num_pairs=300, num_objects=range(1, 4))
    splits = {split: set(task.load(split)["source"]) for split in ("train", "validation", "test")}
    assert not splits["train"] & splits["test"] and not splits["train"] & splits["validation"]
    assert split_of([(7, "red", "small")]) == split_of([(7, "red", "small")])
    for source, target in zip(task.load("test")["source"], task.load("test")["target"], strict=True):
        assert len(source.split()) == len(target.split()) and source.count(",") == target.count(",")


def test_words_right():
    assert words_right("a red seven", "a red seven") == 1
    assert words_right("a red", "a red seven") == pytest.approx(2 / 3)
    assert words_right("", "a red seven") == 0


def test_about_a_third_of_the_words_are_right_by_chance():
    """As chapters 2 and 3 say: of a list with the same number of objects."""
    texts = ToyLists(small_config(), num_pairs=2000, num_objects=range(8, 9)).load("train")["target"]
    shares = [words_right(one, other) for one, other in zip(texts[::2], texts[1::2], strict=True)]
    assert 0.3 < sum(shares) / len(shares) < 0.4


def test_a_model_learns_in_the_loop_of_the_lessons():
    task = ToyLists(small_config(), num_pairs=400, num_objects=range(1, 3))
    examples, model = prepare(task)
    steps = train(task, model, examples, num_epochs=12)
    assert steps[-1].loss < 0.5 * steps[0].loss
    lengths, right = zip(*score(task, model, task.load("test")), strict=True)
    assert set(lengths) <= set(range(3, 9)) and sum(right) / len(right) > 0.5


def test_scores_are_grouped_by_length():
    assert percent_by_length([(5, 0.0), (3, 1.0), (4, 0.5)]) == {4: 75.0, 8: 0.0}
    assert name_group(8) == "5-8"


def test_objects_are_right_at_their_places():
    hypotheses = ["a red seven, a blue two", "a red seven", "a blue two, a red seven, a blue two"]
    assert percent_by_place(hypotheses, ["a red seven, a blue two"] * 3) == pytest.approx([200 / 3, 100 / 3])


def test_the_gradient_of_a_network_that_halves_its_state_is_halved_at_each_step_back():
    encoder = RecurrentEncoder(4, 4, cell="rnn", bidirectional=False)
    for parameter in encoder.parameters():  # all states are zero, where the slope of tanh is one
        nn.init.zeros_(parameter)
    nn.init.eye_(encoder.layers[0][0].weight_ih_l0)
    encoder.layers[0][0].weight_hh_l0.data.copy_(0.5 * torch.eye(4))
    embedding = nn.Embedding(2, 4)
    nn.init.zeros_(embedding.weight)
    values = torch.tensor([[1, 1, 1, 1, 1, 0, 0]])
    reach = gradient_reach(TextEncoder(TokenEmbedding(embedding), encoder), SourceBatch(values, values != 0))
    assert reach == pytest.approx([1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 0, 0])


def test_forget_gates_can_be_closed():
    cell = nn.LSTM(2, 3)
    set_forget_bias(nn.Sequential(cell), 0.25)
    changed = cell.bias_ih_l0 == 0.25
    assert changed.tolist() == [False] * 3 + [True] * 3 + [False] * 6


def test_texts_without_medium_objects_have_four_words_for_each():
    task = ToyLists(small_config(), num_pairs=100, num_objects=range(2, 3), sizes=("small", "large"))
    assert {len(text.split()) for text in task.load("test")["target"]} == {8}


def untrained(lists: type[ToyLists] = ToyLists) -> tuple[ToyLists, Seq2Seq, Batch]:
    """Build a model that has learned nothing, and a batch of texts of several lengths."""
    task = lists(small_config(), num_pairs=100, num_objects=range(1, 4))
    examples = task.load("train")
    task.fit(examples)
    return task, build_model(task).eval(), task.collate(task.load("test"), list(range(10)))


def test_the_validation_loss_is_that_of_all_words():
    task, model, batch = untrained()
    assert validation_loss(task, model, task.load("test")) == pytest.approx(mean_loss(model, batch).item(), rel=1e-5)


def test_smoothed_values_are_means_of_consecutive_ones():
    assert smooth([1.0, 3.0, 5.0, 7.0, 9.0], num_points=3) == [(2, 2.0), (4, 6.0), (5, 9.0)]


def test_charts_stand_in_a_grid():
    curves = {"a": [(1, 2.0), (10, 3.0)]}
    figure = line_charts([[("up", curves), ("down", curves)]] * 2, "x", log_x=True)
    assert [axes.get_ylabel() for axes in figure.axes] == ["up", "down"] * 2
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "x", "x"]
    assert {axes.get_xscale() for axes in figure.axes} == {"log"}


def test_without_the_masks_padding_counts():
    _, model, batch = untrained(UnmaskedLists)
    assert batch.source.mask.all() and (batch.source.values == PAD).any()
    is_real = batch.tokens[:, 1:] != PAD
    decoder = cast(AutoregressiveDecoder, model.decoder)
    logits = decoder.logits(decoder(batch.tokens[:, :-1], model.encode(batch)).features)
    losses = -logits.log_softmax(dim=-1).gather(2, batch.tokens[:, 1:, None]).squeeze(2)
    torch.testing.assert_close(loss_with_padding(model, batch), losses.mean())
    torch.testing.assert_close(mean_loss(model, batch), losses[is_real].mean())


def test_errors_are_those_of_greedy_search_and_the_same_up_to_the_first_one():
    task, model, batch = untrained()
    own, true, since = find_errors(model, batch)
    lengths = (batch.tokens[:, 1:] != PAD).sum(dim=1).tolist()
    sentences = Predictor(task, [model]).generate(task.load("test")["source"][:10], GREEDY)
    by_text = (part.split(lengths) for part in (own, true, since))
    rows = zip(sentences, batch.tokens[:, 1:].tolist(), *by_text, strict=True)
    for (best, *_), target, own_row, true_row, since_row in rows:
        words = [*best.tokens, EOS]
        first = next(place for place, word in enumerate(words) if word != target[place])
        assert own_row[: first + 1].tolist() == true_row[: first + 1].tolist() == [0] * first + [1]
        assert since_row.tolist() == [max(0, place - first) for place in range(len(since_row))]


@pytest.mark.parametrize(("init", "change"), [("he", 1.0), ("xavier", 2**-9.5)])  # ReLU halves the mean square
def test_starts_keep_or_lose_the_sizes_of_layers_with_relu(init, change):
    torch.manual_seed(1)
    activations, gradients = measure_layers(build_stack(nn.ReLU, init, 1.0), *load_images())
    assert change / 4 < activations[-1] / activations[0] < change * 4
    assert change / 4 < gradients[0] / gradients[-1] < change * 4
