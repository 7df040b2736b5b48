"""Formats of predictions, and normalizations before errors are counted: settings of `predict` and `evaluate`."""

from typing import Literal

FormatName = Literal["text", "json", "jsonl", "tsv", "srt", "vtt"]

SUBTITLES = ("srt", "vtt")

Normalization = Literal["none", "whisper", "whisper_basic"]
