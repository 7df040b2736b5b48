"""Subtitles in SubRip and WebVTT."""

from collections.abc import Sequence
from typing import Literal


def format_subtitles(segments: Sequence[tuple[float, float, str]], file_format: Literal["srt", "vtt"]) -> str:
    """Format (start, end, text) segments, in seconds, as SubRip or WebVTT; segments without text are left out."""
    cues = [(start, end, text) for start, end, text in segments if text.strip()]
    if file_format == "vtt":  # where these characters are markup
        cues = [(start, end, text.replace("&", "&amp;").replace("<", "&lt;")) for start, end, text in cues]
    decimal_mark = "," if file_format == "srt" else "."
    blocks = [
        f"{number}\n{format_timestamp(start, decimal_mark)} --> {format_timestamp(end, decimal_mark)}\n{text}\n"
        for number, (start, end, text) in enumerate(cues, start=1)
    ]
    return "\n".join([*(["WEBVTT\n"] if file_format == "vtt" else []), *blocks])


def format_timestamp(seconds: float, decimal_mark: str) -> str:
    """Format seconds as hours, minutes, seconds and milliseconds: 00:01:02,345."""
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}{decimal_mark}{milliseconds % 1000:03}"
