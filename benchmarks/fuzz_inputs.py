"""Inputs to fuzz with, as strategies of Hypothesis: texts of all of Unicode, JSON, and files with changed bytes."""

import copy
import random
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

# What separates, quotes, escapes, or is easily taken for something else.
MARKS = (
    *("\n", "\r", "\r\n", "\t", "\0", "\x0b", "\x0c", "\x1c", "\x1f", "\x7f", "\x85", "\xa0", "\u2028", "\u2029"),
    *(
        "\ufeff",
        "\u200b",
        "\u202e",
        "\u3000",
        "\ue000",
        "\ue0000",
        "\ufffd",
        "\uffff",
        "\U0010ffff",
        "e\u0301",
        "👩‍👩‍👧",
    ),
    *(
        '"',
        '""',
        "'",
        ",",
        ";",
        "|",
        "\\",
        "/",
        "#0",
        "[b]",
        "{",
        "}",
        "%s",
        "$(id)",
        "-",
        "--",
        "=1+1",
        "@",
        "`",
        "<b>",
    ),
    *(
        "",
        " ",
        "null",
        "NaN",
        "nan",
        "007",
        "1e5",
        "2020-01-01",
        "true",
        "</s>",
        "<0x41>",
        "▁",
        "¶",
        "__eou__",
        " +++$+++ ",
    ),
    *("..", "../x", "a.png", "a.wav", "a.mp4", "a.npy", "sub/c.png", "İ", "ß", "ﷺ", "Ç", "שלום", "四", "ไทย", "।"),
)
LONG = 20_000  # characters
MAX_CHANGES = 5
HEADER_SIZE = 64  # bytes at the beginning of a file, of which half of the changes are
MAX_BLOCK_SIZE = 512  # bytes that are removed, repeated or exchanged at most
NUMBERS = (0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
OPERATIONS = ("flip", "number", "insert", "remove", "repeat", "exchange", "cut", "append")

words = st.one_of(st.sampled_from(MARKS), st.sampled_from(["hier", "ist", "eine", "rote", "Vier"]), st.text(max_size=4))
sentences = st.one_of(st.lists(words, max_size=6).map("".join), st.lists(words, max_size=6).map(" ".join))
texts = st.one_of(
    sentences,
    sentences,
    st.tuples(words, st.integers(1, LONG)).map(lambda pair: (pair[0] * pair[1])[:LONG]),
)
surrogates = st.tuples(texts, st.characters(categories=["Cs"])).map("".join)  # bytes of names that are not UTF-8
lines = texts.map(lambda text: text.replace("\n", " "))

numbers = st.one_of(st.sampled_from(NUMBERS), st.integers(), st.floats())
scalars = st.one_of(st.none(), st.booleans(), numbers, texts, surrogates)
json_values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=6,
)


@st.composite
def changed_json(draw: st.DrawFn, values: Mapping[str, Any]) -> tuple[str, Any]:
    """Take one of some JSON values, by its name, and replace, remove, copy or add values inside of it."""
    name = draw(st.sampled_from(sorted(values)))
    whole = {"": copy.deepcopy(values[name])}  # so that the value itself has a place in something, too
    for _ in range(draw(st.integers(0, MAX_CHANGES))):
        owner, key = draw_place(draw, whole)
        match draw(st.sampled_from(["replace", "replace", "remove", "copy", "add"])):
            case "replace":
                owner[key] = draw(json_values)
            case "remove" if owner is not whole:
                del owner[key]
            case "copy":
                other, place = draw_place(draw, whole)
                owner[key] = copy.deepcopy(other[place])
            case "add" if isinstance(owner[key], dict):
                owner[key][draw(words)] = draw(json_values)
            case _:
                pass
    return name, whole[""]


def draw_place(draw: st.DrawFn, owner: Any) -> tuple[Any, Any]:
    """Draw a place in a JSON value: a list or dictionary in it, and an index or key there."""
    while True:
        key = draw(st.sampled_from([*owner] if isinstance(owner, dict) else range(len(owner))))
        inner = owner[key]
        if not isinstance(inner, (dict, list)) or not inner or draw(st.integers(0, 3)) == 0:
            return owner, key
        owner = inner


def changed_files(files: Mapping[str, bytes]) -> SearchStrategy[tuple[str, bytes]]:
    """Take one of some files, by its name, and change it in a few places."""
    return st.builds(
        lambda name, seed: (name, change(files[name], random.Random(seed))),
        st.sampled_from(sorted(files)),
        st.integers(0, 2**64 - 1),
    )


def change(content: bytes, source: random.Random) -> bytes:
    """Change the bytes of a file in a few places."""
    changed = bytearray(content)
    for _ in range(source.randint(0, MAX_CHANGES)):
        start = source.randint(0, min(len(changed), HEADER_SIZE) if source.random() < 0.5 else len(changed))
        end = start + source.randint(0, source.choice([8, MAX_BLOCK_SIZE]))
        match source.choice(OPERATIONS):
            case "flip" if changed:
                changed[start % len(changed)] ^= 1 << source.randrange(8)
            case "number":
                size = source.choice([1, 2, 4, 8])
                number = source.choice(NUMBERS) % 256**size
                changed[start : start + size] = number.to_bytes(size, source.choice(["little", "big"]))
            case "insert":
                changed[start:start] = source.randbytes(source.randint(1, 8))
            case "remove":
                del changed[start:end]
            case "repeat":
                changed[start:start] = changed[start:end]
            case "exchange":
                middle = (start + end) // 2
                changed[start:end] = changed[middle:end] + changed[start:middle]
            case "cut":
                del changed[start:]
            case _:
                changed += source.randbytes(source.randint(1, 8))
    return bytes(changed)
