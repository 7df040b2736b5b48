"""Reasons why a text is no sentence to train on or to read."""

import re

from tasks.common.data.limits import MAX_CHARACTERS


def text_problem(text: object) -> str | None:
    """Describe why a sentence is invalid; None if it is valid."""
    if text is None or text == "":
        return "is empty"
    if not isinstance(text, str):
        return f"is not a text but {type(text).__name__}"
    if len(text) > MAX_CHARACTERS:
        return f"has {len(text):,} characters; at most {MAX_CHARACTERS:,} are allowed"
    if "\0" in text:
        return "contains a NUL character"
    # Surrogates are Python's signs for bytes of an argument that are not UTF-8.
    if re.search("[\ufffd\ud800-\udfff]", text):
        return "is not valid UTF-8"
    return None
