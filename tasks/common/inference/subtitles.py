"""Subtitles: words in cues that can be read, as SubRip and WebVTT.

The limits are those of the field's guidelines (Netflix, BBC): two lines of 42 characters, a second to seven, 17
characters a second.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Literal

from tasks.common.inference.word_times import Word
from tasks.common.text.words import join_words, with_spaces

MAX_LINES = 2
MAX_LINE_WIDTH = 42  # columns; characters of Chinese, Japanese and Korean have two
MIN_DURATION_S, MAX_DURATION_S = 1.0, 7.0
MAX_SPEED = 17.0  # columns a second, so that it can be read
PAUSE_S = 0.5  # a pause at which a cue should end; it has to at one of four times its length
SENTENCE_ENDS = tuple(".!?。！？؟।…")
CLAUSE_ENDS = tuple(",;:，；：、،")


@dataclass(frozen=True)
class Cue:
    """A subtitle, with its begin and end in seconds."""

    start: float
    end: float
    lines: Sequence[str]


def make_cues(words: Sequence[Word]) -> list[Cue]:
    """Divide words into cues.

    Among all divisions into cues that fit, that of the least cost is found (dynamic programming): few cues, which end
    at pauses and at the ends of sentences and clauses, and can be read in their time. A cue stays for that time where
    the next one allows it.

    Args:
        words: The words of a whole recording in order.
    """
    costs, starts = [0.0], [0]  # of the best division of the first words: its cost, and where its last cue begins
    for end in range(1, len(words) + 1):
        best_cost, best_start = float("inf"), end - 1
        for start in range(end - 1, -1, -1):
            if start < end - 1 and not fits(words[start:end]):
                break
            next_start = words[end].start if end < len(words) else float("inf")
            cost = costs[start] + cue_cost(words[start:end], next_start)
            if cost < best_cost:
                best_cost, best_start = cost, start
        costs.append(best_cost)
        starts.append(best_start)
    bounds = [len(words)]
    while bounds[-1] > 0:
        bounds.append(starts[bounds[-1]])
    parts = [words[start:end] for start, end in pairwise(reversed(bounds))]
    next_starts = [*(part[0].start for part in parts), float("inf")][1:]
    return [
        Cue(part[0].start, end_of_cue(part, next_start), break_lines([word.text for word in part]))
        for part, next_start in zip(parts, next_starts, strict=True)
    ]


def fits(words: Sequence[Word]) -> bool:
    """Tell whether words may be in one cue: its duration, its lines, and no long pause in it."""
    if words[-1].end - words[0].start > MAX_DURATION_S:
        return False
    if any(after.start - before.end > 4 * PAUSE_S for before, after in pairwise(words)):
        return False
    lines = break_lines([word.text for word in words])
    return len(lines) <= MAX_LINES and max(map(width, lines)) <= MAX_LINE_WIDTH


def cue_cost(words: Sequence[Word], next_start: float) -> float:
    """Return the cost of a cue of these words: 1, and what makes it harder to read."""
    text, pause_s = words[-1].text, next_start - words[-1].end
    cost = 1.0 + sum(min(1.0, (after.start - before.end) / PAUSE_S) for before, after in pairwise(words))
    cost += sum(0.5 for word in words[:-1] if word.text.endswith(SENTENCE_ENDS))
    if not text.endswith(SENTENCE_ENDS):  # it ends where no sentence does
        cost += max(0.0, 1.0 - pause_s / PAUSE_S) * (0.4 if text.endswith(CLAUSE_ENDS) else 0.8)
    needed_s = reading_time_s(words)
    return cost + 2 * max(0.0, needed_s - (end_of_cue(words, next_start) - words[0].start)) / needed_s


def reading_time_s(words: Sequence[Word]) -> float:
    """Return the seconds for which a cue of these words should stay."""
    columns = width(join_words([word.text for word in words]))
    return min(MAX_DURATION_S, max(MIN_DURATION_S, columns / MAX_SPEED))


def end_of_cue(words: Sequence[Word], next_start: float) -> float:
    """Return the end of a cue: that of its last word, or later so that it can be read, but before the next one."""
    end = min(words[-1].end, words[0].start + MAX_DURATION_S)
    return min(max(end, words[0].start + reading_time_s(words)), max(next_start, end))


def break_lines(words: Sequence[str]) -> list[str]:
    """Join words to one line, or to lines of which the longest is as short as possible."""
    spaced = with_spaces(words)
    ends = list(accumulate(map(width, spaced)))
    if ends[-1] <= MAX_LINE_WIDTH or len(words) < MAX_LINES:
        return ["".join(spaced)]
    lengths = [(end, ends[-1] - end - after.startswith(" ")) for end, after in zip(ends, spaced[1:], strict=False)]
    place = 1 + min(range(len(lengths)), key=lambda index: max(lengths[index]))
    return ["".join(spaced[:place]), "".join(spaced[place:]).strip()]


@lru_cache(maxsize=65_536)
def width(text: str) -> int:
    """Return the columns of a text: two for each wide character, as of Chinese."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def format_subtitles(cues: Sequence[Cue], file_format: Literal["srt", "vtt"]) -> str:
    """Format cues as SubRip or WebVTT.

    What is markup in the text is escaped: in WebVTT &, < and >. SubRip has no escapes; an arrow in a text, by which
    programs find the times, is written as one character there. No format allows empty lines in a cue.
    """
    decimal_mark = "," if file_format == "srt" else "."
    blocks = ["WEBVTT\n"] if file_format == "vtt" else []
    for number, cue in enumerate(cues, start=1):
        times = f"{format_timestamp(cue.start, decimal_mark)} --> {format_timestamp(cue.end, decimal_mark)}"
        lines = [escape(line, file_format) for line in cue.lines if line.strip()]
        blocks.append("\n".join([str(number), times, *lines]) + "\n")
    return "\n".join(blocks).removesuffix("\n")


def escape(line: str, file_format: Literal["srt", "vtt"]) -> str:
    """Return a line of text as it is written in a cue."""
    if file_format == "srt":
        return line.replace("-->", "→")
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def format_timestamp(seconds: float, decimal_mark: str) -> str:
    """Format seconds as hours, minutes, seconds and milliseconds: 00:01:02,345."""
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}{decimal_mark}{milliseconds % 1000:03}"
