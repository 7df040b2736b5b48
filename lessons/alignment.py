"""Where a translator looks (Bahdanau et al. 2015): the weights of the source's words, for each word it generates.

Three models translate the same scenes into English. German has the order of English, French puts a color after its
noun, Chinese a relation after both objects. Nobody tells the models which words correspond; here the grammar is known,
so that one can count how often the largest weight of a digit's name is on the digit's name in the source.
"""

import math
from statistics import fmean

import torch
from torch import Tensor

from attention.alignment_metrics import diagonality
from lessons.aligning import AlignedPair, align, align_batches, show_alignments
from lessons.lesson import Result
from lessons.toy_text import ToyScenes, scene_to_show, small_config
from lessons.training import prepare, train
from lessons.translating import percent_right
from tasks.common.cli.side_by_side import run_side_by_side
from tasks.common.text.tokenizer import Tokenizer
from tasks.toy_world.grammar import GRAMMARS
from tasks.toy_world.scenes import describe

LANGUAGES = {"German": "de", "French": "fr", "Chinese": "zh"}


def run(tiny: bool) -> Result:
    results = dict(run_side_by_side(train_from, list(LANGUAGES), tiny))
    rows = [{"from": language} | results[language][0] for language in LANGUAGES]
    pairs = {f"{language} to English": results[language][1] for language in LANGUAGES}
    return Result(rows, show_alignments(pairs, len(pairs), (4.4, 3.6)))


def train_from(language: str, tiny: bool) -> tuple[dict[str, str], AlignedPair]:
    """Train a translator from a language; return measures of its attention, and the alignment of one sentence."""
    code = LANGUAGES[language]
    task = ToyScenes(small_config(source=code), 200 if tiny else 8000)
    examples, model = prepare(task)
    train(task, model, examples, num_epochs=1 if tiny else 4)
    test = task.load("test")
    digits = list(zip(digit_ids(task.source_tokenizer, code), digit_ids(task.tokenizer, "en"), strict=True))
    articles = torch.tensor(task.tokenizer.encode(["a an A An"])[0])
    found, bits, order = [], {"digits": [], "articles": []}, []
    for batch, alignment in align_batches(task, model, test):
        target = batch.tokens[:, 1:]
        for source_id, target_id in digits:
            found += finds_digit(alignment.weights, batch.source.values == source_id, target == target_id)
        entropies = torch.special.entr(alignment.weights).sum(dim=-1) / math.log(2)
        bits["digits"] += entropies[torch.isin(target, torch.tensor(digits)[:, 1])].tolist()
        bits["articles"] += entropies[torch.isin(target, articles)].tolist()
        order += diagonality(alignment.weights, alignment.target_mask).tolist()
    row = {
        "words right, %": f"{percent_right(task, model, test):.1f}",
        "digits whose largest weight is on the digit, %": f"{100 * fmean(found):.1f}",
        "entropy of digits, bits": f"{fmean(bits['digits']):.2f}",
        "entropy of articles, bits": f"{fmean(bits['articles']):.2f}",
        "diagonality": f"{fmean(order):.2f}",
    }
    scene = scene_to_show()
    return row, align(task, model, describe(scene, code)[0], describe(scene, "en")[0])


def digit_ids(tokenizer: Tokenizer, language: str) -> list[int]:
    """Return the token of each digit from 0 to 9: the one by which its noun phrase differs from another digit's."""
    phrases = [GRAMMARS[language].noun_phrase(digit, "red", "medium", False) for digit in range(10)]
    token_ids = tokenizer.encode(phrases)
    return [
        next(own for own, other in zip(token_ids[digit], token_ids[digit - 1], strict=True) if own != other)
        for digit in range(10)
    ]


def finds_digit(weights: Tensor, in_source: Tensor, in_target: Tensor) -> list[bool]:
    """Return whether the largest weight of a digit's name is on its name in the source.

    Args:
        weights: The attention weights, (batch, target, source).
        in_source: True where a token is the digit, (batch, source).
        in_target: The same for the target, (batch, target).

    Returns:
        An answer for each pair of texts in which the digit occurs once on either side.
    """
    rows = (in_source.sum(dim=1) == 1) & (in_target.sum(dim=1) == 1)
    peaks = weights[rows][in_target[rows]].argmax(dim=-1)  # one position for each pair
    return (peaks == in_source[rows].long().argmax(dim=-1)).tolist()
