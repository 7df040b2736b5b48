"""What is asked of a search, and what it returns."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How a trained model writes. Lengths are in tokens, without the end of sentence."""

    beam: int = 5
    """Hypotheses kept for a sentence; 1 is greedy."""
    length_penalty: float = 1.0
    """A score is divided by length to this power (0: plain log-probabilities, which favour short sentences)."""
    coverage_penalty: float = 0.0
    """GNMT's beta (Wu et al. 2016): what it costs to leave parts of the source unattended."""
    no_repeat_ngram: int = 0
    """No n-gram of this length is written twice (0: allowed)."""
    min_length: int = 1
    max_length: int = 128
    n_best: int = 1
    """How many sentences are returned: at most ``beam``, or any number of draws."""
    sample: bool = False
    """Draw from the model's distribution instead of searching for its best sentence."""
    temperature: float = 1.0
    """Of the draw: below 1 it is bolder, above 1 wilder."""
    top_k: int = 0
    """Draw from the k most probable tokens only (0: from all)."""
    top_p: float = 1.0
    """Draw from the smallest set of tokens that has this much probability (Holtzman et al. 2020)."""
    ctc_weight: float | None = None
    """Share of CTC in a joint search (None: as trained)."""
    form: Literal["free", "length", "rhyme"] = "free"
    """Of verse: lines as long as they should be, and also with their rhymes. Other tasks know only free."""

    def __post_init__(self):
        allowed = {
            "beam": (self.beam >= 1, "1 or more"),
            "n_best": (
                self.n_best >= 1 and (self.sample or self.n_best <= self.beam),
                "1 or more" if self.sample else f"1 to the beam, {self.beam}",
            ),
            "length_penalty": (self.length_penalty >= 0, "0 or more"),
            "coverage_penalty": (self.coverage_penalty >= 0, "0 or more"),
            "max_length": (self.max_length >= 1, "1 or more"),
            "min_length": (0 <= self.min_length <= self.max_length, f"0 to max_length, {self.max_length}"),
            "block_ngrams": (self.no_repeat_ngram >= 0, "0 or more"),
            "temperature": (self.temperature > 0, "above 0"),
            "top_k": (self.top_k >= 0, "0 or more"),
            "top_p": (0 < self.top_p <= 1, "above 0 and at most 1"),
            "ctc_weight": (self.ctc_weight is None or 0 <= self.ctc_weight <= 1, "0 to 1"),
        }
        for name, (right, values) in allowed.items():
            if not right:
                raise ValueError(f"{name.replace('_', '-')} is {getattr(self, name)}; allowed is {values}")


@dataclass(frozen=True)
class Hypothesis:
    """A finished sentence without its end-of-sentence token; ``score`` is what it was ranked by."""

    tokens: list[int]
    score: float
