"""Plots are PNG files whose axes have units and limits that the values can reach."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from tasks.common.analysis import plots
from tasks.common.analysis.plots import charts, figure, media, scene
from tasks.common.analysis.plots.figure import darken, join_frames, pick_frames, upsample_weights


@pytest.fixture
def saved(monkeypatch, tmp_path) -> list[Figure]:
    """Collect the figures that are saved, which are written as usual."""
    figures: list[Figure] = []

    def save(new: Figure, path: Path, dpi: int = 120) -> None:
        figures.append(new)
        figure.save_figure(new, path, dpi)
        with Image.open(path) as image:
            assert image.format == "PNG"

    for module in (charts, media, scene):
        monkeypatch.setattr(module, "save_figure", save)
    return figures


def random_weights(*shape: int) -> torch.Tensor:
    return torch.rand(shape[0], int(np.prod(shape[1:]))).softmax(dim=1).reshape(shape)


def labels(shown: Figure) -> set[str]:
    return {label for axes in shown.axes for label in (axes.get_xlabel(), axes.get_ylabel()) if label}


def test_the_scale_of_an_alignment_is_from_zero_to_one_and_labeled(saved, tmp_path):
    plots.plot_alignment(random_weights(2, 3), ["a", "$x"], ["ein", "_$", "</s>"], tmp_path / "alignment.png")
    (shown,) = saved
    assert labels(shown) == {"attention weight"}
    assert shown.axes[0].images[0].get_clim() == (0, 1)
    assert [tick.get_text() for tick in shown.axes[0].get_xticklabels()] == ["ein", "_$", "</s>"]


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [([100.0, 98.0], None, 100.0), ([0.0, 3.0], 0.0, None), ([0.0, 100.0], 0.0, 100.0), ([-1.0, 140.0], None, None)],
)
def test_axes_end_where_a_percentage_ends_but_not_below_larger_values(values, low, high, saved, tmp_path):
    groups = [{"length": f"{index}-{index}", "score": value} for index, value in enumerate(values)]
    plots.plot_by_length({"run": groups}, "source length (tokens)", "bleu", tmp_path / "length.png")
    plots.plot_curves({"run": list(enumerate(values))}, "validation bleu", tmp_path / "curves.png")
    for shown in saved:
        bottom, top = shown.axes[0].get_ylim()
        assert bottom == low if low is not None else bottom < min(values)
        assert top == high if high is not None else top > max(values)
    assert [labels(shown) for shown in saved] == [
        {"source length (tokens)", "bleu"},
        {"training steps", "validation bleu"},
    ]


def test_audio_and_frame_attention_have_an_axis_of_time(saved, tmp_path):
    features = np.random.default_rng(0).normal(size=(50, 8))
    plots.plot_audio_attention(features, random_weights(2, 12), ["a", "b"], 0.5, tmp_path / "audio.png")
    frames = np.random.default_rng(0).integers(0, 256, (20, 8, 6, 3), dtype=np.uint8)
    plots.plot_frame_attention(frames, random_weights(2, 5), ["a", "b"], tmp_path / "frames.png")
    plots.plot_frame_attention(frames, random_weights(2, 5), ["a", "b"], tmp_path / "frames.png", duration_s=0.8)
    plots.plot_region_attention(frames, random_weights(2, 5, 2, 2), ["a", "b"], tmp_path / "regions.png", 0.8)
    assert [labels(shown) for shown in saved] == [
        {"feature", "seconds", "attention weight"},
        {"time (frames)", "attention weight"},
        {"time (seconds)", "attention weight"},
        {"a", "b"},
    ]
    assert saved[0].axes[1].get_xlim() == (0, 0.5)
    assert [shown.axes[1].get_xlim() for shown in saved[1:3]] == [(0, 20), (0, 0.8)]
    assert saved[3].axes[-1].get_xticklabels()[-1].get_text() == "0.76 s"


def test_every_plot_of_attention_has_the_sentence_as_its_title(saved, tmp_path):
    tokens = ["·a", "·re", "d", "·seven", ".", "</s>"]
    frames = np.zeros((4, 8, 8, 3), dtype=np.uint8)
    plots.plot_alignment(random_weights(6, 3), tokens, ["a", "b", "</s>"], tmp_path / "text.png")
    plots.plot_audio_attention(np.zeros((50, 8)), random_weights(6, 12), tokens, 0.5, tmp_path / "audio.png")
    plots.plot_image_attention(Image.fromarray(frames[0]), random_weights(6, 2, 2), tokens, tmp_path / "image.png")
    plots.plot_frame_attention(frames, random_weights(6, 4), tokens, tmp_path / "frames.png")
    plots.plot_region_attention(frames, random_weights(6, 4, 2, 2), tokens, tmp_path / "regions.png")
    assert [" ".join(shown.get_suptitle().split()) for shown in saved] == ["a red seven."] * 5


def test_each_token_has_its_own_copy_of_an_image_and_of_a_video(saved, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 12, 3), dtype=np.uint8)
    tokens = ["a", "b", "c"]
    image = Image.fromarray(pixels[0])
    plots.plot_image_attention(image, random_weights(3, 4, 4), tokens, tmp_path / "image.png")
    plots.plot_region_attention(pixels, random_weights(3, 3, 2, 2), tokens, tmp_path / "video.png")
    assert [sum(len(axes.images) for axes in shown.axes) for shown in saved] == [4, 4]


def test_the_attended_region_keeps_its_brightness_and_the_others_are_darkened():
    weights = torch.zeros(2, 2, 2)
    weights[1, 0, 1] = 0.1  # small, but the largest of this token
    frames = np.full((4, 32, 32, 3), 255, dtype=np.uint8)
    indices = np.arange(4)
    attention = upsample_weights(weights, 4, (32, 32), indices)
    assert not attention[:2].any()  # two frames per state
    shown = darken(frames, attention, 0.25)
    assert shown[0].max() == 0.25
    assert shown[2, 2, -3, 0] == pytest.approx(1.0) and shown[2, -3, 2, 0] == pytest.approx(0.25, abs=0.05)
    np.testing.assert_array_equal(shown[2], shown[3])


def test_frames_are_picked_at_equal_distances():
    assert pick_frames(3, 16).tolist() == [0, 1, 2]
    assert pick_frames(8, 4).tolist() == [1, 3, 5, 7]
    assert join_frames(np.zeros((3, 4, 5, 3), dtype=np.uint8), gap=2).shape == (4, 19, 3)
    assert join_frames(np.zeros((2, 1, 2)), gap=1, fill=7.0).tolist() == [[0, 0, 7, 0, 0]]


def test_the_scene_has_all_generated_sentences_and_the_references(saved, tmp_path):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    words = ["a", "red", "seven"]
    path = tmp_path / "scene.png"
    right, source = "a red seven", ["eine", "rote", "Sieben", "</s>"]
    plots.plot_scene(
        right,
        plots.TextPanel("Read", "one red seven", right, words, random_weights(3, 4), source),
        plots.AudioPanel("Heard", "a dead heaven", right, words, random_weights(3, 10), rng.normal(size=(99, 8)), 0.99),
        plots.ImagePanel("Seen", "a red one", right, words, random_weights(3, 4, 4), frames[0]),
        plots.VideoPanel("Watched", "a red nine", "a red seven stays", words, random_weights(3, 8, 1, 1), frames, 2.0),
        path,
    )
    (shown,) = saved
    rows = shown.subfigs
    titles = [part.get_suptitle() for part in [*rows[0].subfigs, *rows[1:]]]
    assert titles == ["Read: one red seven", "Heard: a dead heaven", "Seen: a red one", "Watched: a red nine"]
    assert shown.get_suptitle() == "One scene: a red seven"
    panels = [*rows[0].subfigs, *rows[1:]]
    references = [part.get_supxlabel().split("\n")[0] for part in panels]
    assert references == ["Reference: a red seven"] * 3 + ["Reference: a red seven stays"]
    times = [tick.get_text() for tick in rows[2].axes[0].get_xticklabels()]
    assert times[:2] == ["0.00 s", "0.25 s"] and times[-1] == "1.75 s"
    with Image.open(path) as image:
        assert 1000 < image.width < 2000
    (first, *_) = rows[2].subfigs or [rows[2]]
    assert first.axes[0].get_window_extent().width > 0.9 * shown.bbox.width  # 8 frames fill the width of the figure


def test_missing_characters_are_reported_once(tmp_path, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("first.png", "second.png"):
            plots.plot_alignment(random_weights(1, 1), ["\U000f0000"], ["a"], tmp_path / name)
    assert capsys.readouterr().err.count("a plot has characters that no font") == 1
