"""Predictions in the form in which the page shows them: JSON, with images as data URLs."""

import base64
import io
from functools import singledispatch
from typing import Any

import matplotlib
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from decoders.base import Hypothesis
from tasks.common.analysis.plots.figure import pick_frames
from tasks.common.analysis.plots.media import MAX_FRAMES
from tasks.common.analysis.subwords import merge_subwords
from tasks.common.analysis.views import ImageView, SoundView, TextView, VideoView, View
from tasks.common.inference.prediction import NOTHING, Prediction

MAX_VIEWS = 20  # segments of a long recording whose alignment is shown
DIGITS = 4  # of attention weights


def describe_prediction(prediction: Prediction, name: str, training_data: str) -> dict[str, Any]:
    """Describe a prediction for the page.

    Args:
        prediction: The prediction of an input that can be used.
        name: What messages call the input.
        training_data: The name of what the model was trained on.

    Returns:
        The sentence and its score; ``notes``, what is to be said of it; and for each segment its span in seconds, the
        ranked sentences, and the words with the views of their attention weights.
    """
    notes = [f"{name} {note}" for note in prediction.parsed.notes]
    if prediction.hypotheses and NOTHING in prediction.notes:
        notes.append(NOTHING)
    if prediction.out_of_domain:
        notes.append(
            f"{name} is far from what the model was trained on, {training_data}; do not trust the sentence: "
            f"{prediction.out_of_domain}"
        )
    decoder = prediction.predictor.models[0].decoder
    if not decoder.has_alignment:
        notes.append("the decoder of this run has no attention weights, so there is no alignment to show")
    elif len(prediction.hypotheses) > MAX_VIEWS:
        notes.append(f"the alignment is shown for the first {MAX_VIEWS} of {len(prediction.hypotheses)} segments")
    segments = [
        {
            "span": span,
            "sentences": [{"text": each.text, "score": each.score} for each in ranked],
            **(describe_alignment(prediction, number) if number < MAX_VIEWS else {}),
        }
        for number, (span, ranked) in enumerate(zip(prediction.spans, prediction.segments, strict=True))
    ]
    return {"text": prediction.text, "score": prediction.score, "notes": notes, "segments": segments}


def describe_alignment(prediction: Prediction, number: int) -> dict[str, Any]:
    """Describe the alignment of the best sentence of a segment: its words, and the views of their weights."""
    ranked, source = prediction.hypotheses[number], prediction.parsed.segments[number].source
    best: Hypothesis | None = ranked[0] if ranked and ranked[0].tokens else None
    weights = None if best is None else prediction.predictor.attention_weights(source, best)
    if best is None or weights is None:
        return {}
    tokens = prediction.segments[number][0].tokens
    words, _ = merge_subwords(tokens, weights[: len(tokens)])
    views = prediction.predictor.task.view_alignment(source, weights)
    return {
        "words": words,
        "views": [
            {"kind": view.kind, **describe_view(view, merge_subwords(tokens, view.weights[: len(tokens)])[1])}
            for view in views
        ],
    }


@singledispatch
def describe_view(view: View, weights: Tensor) -> dict[str, Any]:
    """Describe the source of a view, and the weights of each word, for the page."""
    raise TypeError(f"the page has no display of {type(view).__name__}")


@describe_view.register
def _(view: TextView, weights: Tensor) -> dict[str, Any]:
    return {"source": list(view.source), "weights": to_lists(weights)}


@describe_view.register
def _(view: SoundView, weights: Tensor) -> dict[str, Any]:
    picture = spectrogram(view.features)
    return {"picture": data_url(picture), "duration_s": view.duration_s, "weights": to_lists(weights)}


@describe_view.register
def _(view: ImageView, weights: Tensor) -> dict[str, Any]:
    return {"pictures": [data_url(view.image.convert("RGB"))], "times": None, "weights": to_lists(weights[:, None])}


@describe_view.register
def _(view: VideoView, weights: Tensor) -> dict[str, Any]:
    """Describe some frames, each with the weights of the state that covers it."""
    num_frames = len(view.frames)
    indices = pick_frames(num_frames, MAX_FRAMES)
    states = torch.from_numpy(indices) * weights.size(1) // num_frames
    times = None if view.duration_s is None else (indices * view.duration_s / num_frames).round(2).tolist()
    pictures = [data_url(Image.fromarray(view.frames[index])) for index in indices]
    return {"pictures": pictures, "times": times, "weights": to_lists(weights[:, states])}


def to_lists(weights: Tensor) -> list[Any]:
    """Return weights as nested lists of rounded numbers."""
    return weights.double().round(decimals=DIGITS).tolist()


def spectrogram(features: np.ndarray) -> Image.Image:
    """Render features (frames, features) with time from left to right and the first feature at the bottom."""
    low, high = features.min(), features.max()
    scaled = (features.T[::-1] - low) / max(high - low, 1e-6)
    return Image.fromarray((255 * matplotlib.colormaps["magma"](scaled)[..., :3]).astype(np.uint8))


def data_url(image: Image.Image) -> str:
    """Return an image as the address of its own content."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
