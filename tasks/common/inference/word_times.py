"""The words of a sentence with their times in the source, from the states of the memory that they were read from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from tasks.common.text.words import display_words, join_words

Span = tuple[float, float]  # begin and end in seconds


@dataclass(frozen=True)
class Word:
    """A word, with its punctuation, and its begin and end in seconds from the beginning of the input."""

    text: str
    start: float
    end: float


def group_tokens(tokens: Sequence[int], detokenize: Callable[[Sequence[int]], str]) -> tuple[list[str], list[int]]:
    """Find the words that tokens spell.

    Args:
        tokens: The tokens of a sentence.
        detokenize: Returns the text of tokens.

    Returns:
        The words, and the number of the word that each token is of, -1 for tokens that only separate words. Words that
        one token spells together are one.
    """
    ends: list[int] = []  # of the words so far: their number after the first token of each group
    groups: list[int] = []
    before = ""
    for count in range(1, len(tokens) + 1):
        text = detokenize(tokens[:count])
        num_words = len(display_words(text))
        if num_words > (ends[-1] if ends else 0):
            ends.append(num_words)
        groups.append(len(ends) - 1 if text != before else -1)
        before = text
    words = display_words(before)
    return [join_words(words[start:end]) for start, end in pairwise([0, *ends])], groups


def time_words(words: Sequence[str], spans: Sequence[Sequence[int]], num_states: int, span: Span) -> list[Word]:
    """Return the words of a segment of an input with their times.

    States cover equal parts of the segment. What a word was read from is often one state alone, somewhere in it, since
    a state of the encoder knows what is around it. So two words meet in the middle between their states. But there is a
    pause where they are further apart than words usually are: a word reaches as far as another one usually is, and is
    no longer than three of them.

    Args:
        words: The words.
        spans: The first state of each, and the one after its last: see ``Decoder.state_spans``.
        num_states: The states of the segment.
        span: Its begin and end.

    Returns:
        The words in order. Without states, those of a sentence with more words than states, all characters are equally
        long.
    """
    start, end = span
    if not words or spans[-1][1] < 0:
        return spread_words(words, span)
    usual = max(1, median([after[0] - before[0] for before, after in pairwise(spans)] or [num_states]))
    gaps = [after[0] - before[1] for before, after in pairwise(spans)]  # negative if both have a state in common
    befores = [min(spans[0][0], usual / 2), *(min(gap / 2, usual) for gap in gaps)]
    afters = [*befores[1:], min(num_states - spans[-1][1], usual / 2)]
    state_s = (end - start) / num_states
    timed: list[Word] = []
    for word, (first, last), before, after in zip(words, spans, befores, afters, strict=True):
        begin = first - before
        timed.append(Word(word, start + begin * state_s, start + min(last + after, begin + 3 * usual) * state_s))
    return timed


def spread_words(words: Sequence[str], span: Span) -> list[Word]:
    """Return words that nothing is known of, one after another, each as long as its share of the characters."""
    start, end = span
    lengths = [len(word) + 1 for word in words]
    places = (
        [start + (end - start) * sum(lengths[:place]) / sum(lengths) for place in range(len(words) + 1)]
        if words
        else []
    )
    return [Word(word, begin, until) for word, (begin, until) in zip(words, pairwise(places), strict=True)]
