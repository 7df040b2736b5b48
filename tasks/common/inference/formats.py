"""Predictions as text, JSON, tables of times, and subtitles."""

from dataclasses import dataclass
from typing import Any

from tasks.common.files import to_json
from tasks.common.inference.config import FormatName
from tasks.common.inference.prediction import Prediction
from tasks.common.inference.subtitles import Cue, format_subtitles, make_cues
from tasks.common.inference.word_times import Span, Word, spread_words
from tasks.common.text.words import display_words

SUFFIXES = {"text": ".txt", "json": ".json", "jsonl": ".jsonl", "tsv": ".tsv", "srt": ".srt", "vtt": ".vtt"}


@dataclass(frozen=True)
class Formatter:
    """Formats predictions.

    Attributes:
        name: The format, see ``predict --help``.
        words: Whether the words are given with their times.
        scores: Whether lines of text begin with the number of the input, the rank and the score of a hypothesis.
        ranks: Whether they begin with the first two of these.
        is_file: Whether an output is a file of its own, which need not say the name of its input.
    """

    name: FormatName = "text"
    words: bool = False
    scores: bool = False
    ranks: bool = False
    is_file: bool = False

    @property
    def header(self) -> str | None:
        """The first line, before the first prediction."""
        if self.name != "tsv":
            return None
        return "start\tend\ttext" if self.is_file else "name\tstart\tend\ttext"

    def __call__(self, prediction: Prediction, number: int) -> str:
        """Format the output for an input, without a line break at its end.

        Args:
            prediction: The sentences of the input.
            number: The number of the input, from 1.
        """
        match self.name:
            case "json":
                return to_json(self.as_object(prediction, number), indent=2 if self.is_file else None)
            case "jsonl":
                return "\n".join(map(to_json, self.as_rows(prediction, number)))
            case "tsv":
                return "\n".join(self.as_table(prediction))
            case "srt" | "vtt":
                return format_subtitles(cues_of(prediction), self.name)
        return "\n".join(self.as_words(prediction, number) if self.words else self.as_lines(prediction, number))

    def as_lines(self, prediction: Prediction, number: int) -> list[str]:
        """Return a line for the input, or for each hypothesis; one without segments keeps its line, an empty one."""
        if not (self.ranks or self.scores):
            return [prediction.text]
        lines: list[str] = []
        for part, best in enumerate(prediction.segments, start=1):
            label = f"{number}.{part}" if len(prediction.segments) > 1 else str(number)
            for rank, sentence in enumerate(best, start=1):
                score = f"{sentence.score:.4f}\t" if self.scores else ""
                lines.append(f"{label}\t{rank}\t{score}{sentence.text}")
        return lines or [""]

    def as_words(self, prediction: Prediction, number: int) -> list[str]:
        """Return a line for each word: number of the input, begin and end in seconds, and the word."""
        if prediction.words is None:
            return [f"{number}\t\t\t{prediction.text}"]
        return [f"{number}\t{word.start:.2f}\t{word.end:.2f}\t{word.text}" for word in prediction.words]

    def as_table(self, prediction: Prediction) -> list[str]:
        """Return a line for each segment, or each word: begin and end in milliseconds, and the text."""
        if self.words and prediction.words is not None:
            rows = [((word.start, word.end), word.text) for word in prediction.words]
        else:
            pairs = zip(prediction.spans, prediction.segments, strict=True)
            rows = [(span, best[0].text if best else "") for span, best in pairs]
        lines: list[str] = []
        for span, text in rows or [(None, "")]:
            times = [str(round(1000 * seconds)) for seconds in span] if span else ["", ""]
            named = [] if self.is_file else [prediction.name]
            lines.append("\t".join(" ".join(field.split()) for field in (*named, *times, text)))
        return lines

    def as_object(self, prediction: Prediction, number: int) -> dict[str, Any]:
        """Return an input with its segments and all that is known of it."""
        parts = [
            {"seconds": span, "hypotheses": [{"text": each.text, "score": each.score} for each in best]}
            for span, best in zip(prediction.spans, prediction.segments, strict=True)
        ]
        found = {"input": number, "name": prediction.name, "text": prediction.text, "segments": parts}
        if self.words:
            found["words"] = None if prediction.words is None else [describe_word(word) for word in prediction.words]
        return found | {"out_of_domain": prediction.out_of_domain, "notes": prediction.notes}

    def as_rows(self, prediction: Prediction, number: int) -> list[dict[str, Any]]:
        """Return each hypothesis of each segment; an input without segments is a row that says why."""
        named = {"input": number, "name": prediction.name}
        rows: list[dict[str, Any]] = []
        for place, (span, best) in enumerate(zip(prediction.spans, prediction.segments, strict=True)):
            start, end = span or (None, None)
            for rank, sentence in enumerate(best, start=1):
                row = named | {"segment": place + 1, "start": start, "end": end, "rank": rank}
                row |= {"text": sentence.text, "score": sentence.score}
                if self.words and rank == 1:
                    words = prediction.segment_words
                    row["words"] = None if words is None else [describe_word(word) for word in words[place]]
                rows.append(row)
        return rows or [named | {"segment": None, "text": "", "notes": prediction.notes}]


def describe_word(word: Word) -> dict[str, Any]:
    return {"text": word.text, "start": round(word.start, 3), "end": round(word.end, 3)}


def cues_of(prediction: Prediction) -> list[Cue]:
    """Return the subtitles of an input whose segments have times, by the times of its words where they are known."""
    if prediction.words is not None:
        return make_cues(prediction.words)
    said: list[tuple[Span, str]] = [
        (span, best[0].text) for span, best in zip(prediction.spans, prediction.segments, strict=True) if span and best
    ]
    return make_cues([word for span, text in said for word in spread_words(display_words(text), span)])
