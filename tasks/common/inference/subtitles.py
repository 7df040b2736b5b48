"""Subtitles: what was said, and when."""

from collections.abc import Sequence
from typing import Literal


def subtitles(spoken: Sequence[tuple[float, float, str]], form: Literal["srt", "vtt"]) -> str:
    """SubRip or WebVTT from (start, end, text) in seconds; what has no text is left out."""
    cues = [(start, end, text) for start, end, text in spoken if text.strip()]
    if form == "vtt":  # which takes them for its own marks
        cues = [(start, end, text.replace("&", "&amp;").replace("<", "&lt;")) for start, end, text in cues]
    mark = "," if form == "srt" else "."
    blocks = [
        f"{number}\n{format_timestamp(start, mark)} --> {format_timestamp(end, mark)}\n{text}\n"
        for number, (start, end, text) in enumerate(cues, start=1)
    ]
    return "\n".join([*(["WEBVTT\n"] if form == "vtt" else []), *blocks])


def format_timestamp(seconds: float, mark: str) -> str:
    """Hours, minutes, seconds and milliseconds: 00:01:02,345."""
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}{mark}{milliseconds % 1000:03}"
