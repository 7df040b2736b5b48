"""Words and n-grams of free text in any script, and what is measured by them: ROUGE, novelty, diversity, length."""

import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import version
from itertools import chain

import numpy as np
import regex
from nltk.stem.porter import PorterStemmer
from rouge_score.rouge_scorer import RougeScorer

from tasks.common.metrics.base import Metric, SentenceStats, mean, scores, share

# Scripts that write no spaces: each of their characters, with its vowel signs, counts as a word.
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
WORD = regex.compile(rf"(?V1)[{UNSPACED}]\p{{M}}*|[[\p{{L}}\p{{N}}\p{{M}}]--[{UNSPACED}]]+")
ROUGES = ("rougeL", "rouge1", "rouge2")


def words(text: str) -> list[str]:
    """Lower-cased words without punctuation."""
    return WORD.findall(unicodedata.normalize("NFKC", text).lower())


def first_words(text: str, count: int) -> str:
    """The beginning of a text, as it stands there, up to the end of so many words."""
    ends = [match.end() for match in WORD.finditer(text)]
    return text[: ends[count - 1]] if 0 < count <= len(ends) else text if count else ""


def ngrams(words: Sequence[str], order: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[start:] for start in range(order)), strict=False))


class Stems:
    """The tokenizer of ROUGE: on English what rouge-score's own makes with its stemmer; that one drops whatever is not
    in a to z, and so every character of most languages."""

    def __init__(self):
        self.stem = cache(PorterStemmer().stem)

    def tokenize(self, text: str) -> list[str]:
        return [self.stem(word) if len(word) > 3 and word.isascii() else word for word in words(text)]


def rouge_metrics() -> tuple[Metric, ...]:
    """F1 of ROUGE-L, 1 and 2 (Lin 2004), means over the texts; of several references the best one counts.

    ROUGE-L is of the summary as one sentence (rougeL, not rougeLsum).
    """
    stems = Stems()

    def metric(name: str) -> Metric:
        scorer = RougeScorer([name], tokenizer=stems)

        def statistics(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
            return scores(
                scorer.score_multi(list(given), text)[name].fmeasure
                for text, given in zip(hypotheses, references, strict=True)
            )

        return Metric(name, statistics, mean, signature=signature)

    def signature(references: Sequence[Sequence[str]]) -> str:
        return f"rouge-score:{version('rouge-score')}|stem:porter|f1"

    return tuple(map(metric, ROUGES))


def length_ratio() -> Metric:
    """Words written, in % of those of the (first) references."""

    def statistics(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
        return np.array(
            [[len(words(text)), len(words(given[0]))] for text, given in zip(hypotheses, references, strict=True)],
            dtype=float,
        )

    return Metric("length_ratio", statistics, share)


def novelty(sources: Sequence[str], orders: Iterable[int] = (1, 2, 3)) -> tuple[Metric, ...]:
    """How much of what is written is the model's own: n-grams that its source does not have, in % (See et al. 2017)."""
    cut = [words(source) for source in sources]

    def metric(order: int) -> Metric:
        def statistics(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
            rows = []
            for text, source in zip(hypotheses, cut, strict=True):
                written, known = ngrams(words(text), order), set(ngrams(source, order))
                rows.append([sum(gram not in known for gram in written), len(written)])
            return np.array(rows, dtype=float)

        return Metric(f"novel_{order}grams", statistics, share)

    return tuple(map(metric, orders))


def distinct(hypotheses: Sequence[str], order: int) -> float:
    """Different n-grams in % of all words written (Li et al. 2016): low where answers are all alike."""
    written = [words(text) for text in hypotheses]
    different = set(chain.from_iterable(ngrams(text, order) for text in written))
    return 100 * len(different) / max(1, sum(map(len, written)))
