"""Metrics of pretrained models: equal to their formulas, whatever is in the batch, and sums of sentence statistics."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from tasks.common.metrics.bert_score import BertScore
from tasks.common.metrics.clip_score import ClipScore

CPU = torch.device("cpu")


def images(count: int) -> list[Image.Image]:
    generator = np.random.default_rng(1)
    return [Image.fromarray(generator.integers(256, size=(20, 30, 3), dtype=np.uint8)) for _ in range(count)]


def states_of(folder: Path, text: str) -> tuple[torch.Tensor, list[int]]:
    """The normalized states of a text by transformers, and the places of its own tokens."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
    return states / states.norm(dim=1, keepdim=True), list(range(1, len(states) - 1))


def plain_f1(folder: Path, hypothesis: str, reference: str) -> float:
    """BERTScore as a loop over its formula: special tokens are matched, and not scored."""
    (own, own_places), (other, other_places) = states_of(folder, hypothesis), states_of(folder, reference)
    precision = np.mean([max(float(own[place] @ state) for state in other) for place in own_places])
    recall = np.mean([max(float(other[place] @ state) for state in own) for place in other_places])
    return float(2 * precision * recall / (precision + recall))


def test_bert_score_is_its_formula_whatever_is_in_the_batch(bert_model: Path):
    hypotheses = ["a dog", "the unhappy dogs are running over seven", "grass"]
    references = [["two dogs are running"], ["seven bones"], ["the unhappy dog has seven bones"]]
    stats = BertScore(str(bert_model), CPU).sufficient_stats(hypotheses, references)
    expected = [plain_f1(bert_model, text, several[0]) for text, several in zip(hypotheses, references, strict=True)]
    assert stats[:, 0] == pytest.approx(expected, abs=1e-5)


def test_bert_score_takes_the_most_similar_reference_and_the_mean_of_all_sentences(bert_model: Path):
    scorer = BertScore(str(bert_model), CPU)
    several = [["seven bones", "a dog runs", "two dogs"], ["grass"]]
    stats = scorer.sufficient_stats(["a dog", "the dog"], several)
    alone = [scorer.metric(["a dog"], [[reference]]) for reference in several[0]]
    assert 100 * stats[0, 0] == pytest.approx(max(alone), abs=1e-4) and len(set(alone)) == 3
    assert scorer.metric(["a dog", "the dog"], several) == pytest.approx(100 * stats[:, 0].mean())


def test_bert_score_of_equal_texts_is_100_and_of_no_text_0(bert_model: Path):
    metric = BertScore(str(bert_model), CPU).metric
    assert metric(["a dog runs"], [["a dog runs"]]) == pytest.approx(100, abs=1e-3)
    assert metric([""], [["a dog runs"]]) == 0


def test_texts_longer_than_the_positions_of_a_model_are_truncated(bert_model: Path, clip_model: Path):
    metric = BertScore(str(bert_model), CPU).metric
    assert metric(["dog " * 50], [["dog " * 10]]) == pytest.approx(100, abs=1e-3)
    own, longer = ClipScore(str(clip_model), CPU).score(images(1) * 2, ["dog " * 6, "dog " * 50])
    assert own == pytest.approx(longer)


def test_clip_score_is_the_cosine_of_transformers_and_0_where_that_is_negative(clip_model: Path):
    texts = ["a dog runs", "two dogs are running", "grass", "seven bones", "the unhappy dog", "a"]
    pixels = images(len(texts))
    model, processor = (
        transformers.CLIPModel.from_pretrained(clip_model).eval(),
        ClipScore(str(clip_model), CPU).processor,
    )
    expected: list[float] = []
    for image, text in zip(pixels, texts, strict=True):
        with torch.inference_mode():
            found = model(**processor(text=[text], images=[image], return_tensors="pt"))
            expected.append(float(found.logits_per_image / model.logit_scale.exp()))
    assert min(map(abs, expected)) > 1e-3
    scorer = ClipScore(str(clip_model), CPU)
    metric = scorer.metric(range(len(texts)), pixels.__getitem__)
    for sign in (1, -1):  # so each pair has a score in one of the two
        positive = np.maximum(sign * np.array(expected), 0)
        stats = metric.sufficient_stats(texts, [[]] * len(texts))
        assert stats[:, 0] == pytest.approx(positive, abs=1e-5)
        assert metric(texts, [[]] * len(texts)) == pytest.approx(100 * positive.mean(), abs=1e-3)
        with torch.no_grad():
            scorer.model.text_projection.weight.neg_()


def test_signatures_name_the_model_and_what_is_scored(bert_model: Path, clip_model: Path):
    of_bert, of_clip = BertScore(str(bert_model), CPU).signature([]), ClipScore(str(clip_model), CPU).signature([])
    assert of_bert == f"F1|model:bert|layer:last|idf:no|rescaled:no|transformers:{transformers.__version__}"
    assert of_clip == f"100cos|model:clip|prompt:none|transformers:{transformers.__version__}"


def test_a_folder_of_another_model_is_refused(bert_model: Path, clip_model: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="type is bert; allowed is clip"):
        ClipScore(str(bert_model), CPU)
    with pytest.raises(ValueError, match="type is clip; allowed are encoders"):
        BertScore(str(clip_model), CPU)
    for scorer in (BertScore, ClipScore):
        with pytest.raises(ValueError, match=r"can't be loaded: there is no such folder"):
            scorer(str(tmp_path / "missing"), CPU)
