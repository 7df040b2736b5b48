"""The documentation: its links lead somewhere, its code is code, and the site has all of its pages."""

import ast
import json
import re
import runpy
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    file
    for pattern in ("*.md", "docs/**/*.md", "tasks/*/README.md", "benchmarks/*.md")
    for file in ROOT.glob(pattern)
    if file.parent.name != "results"  # tables, which the chapters show
)
SITE = runpy.run_path(str(ROOT / "docs" / "site" / "contents.py"))
FENCE = re.compile(r"^( *)(```+|~~~+)(\w*).*?\n(.*?)^\1\2$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+?)(?: #+)?$", re.MULTILINE)
QUOTED = re.compile(r"<!-- source: \S+ -->\n")  # test_tutorial.py compares what follows with the source
NAMED = re.compile(r"`((?:[a-z_0-9]+/)+[a-z_0-9]+\.py)`")


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def without_code(text: str) -> str:
    """Remove blocks of code, fenced or indented, and code within lines."""
    text = re.sub(r"(?<=\n\n)(?: {4}.*\n+)+", "", FENCE.sub("", text))
    return re.sub(r"(`+).+?\1", "", text, flags=re.DOTALL)


@cache
def anchors_of(file: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a file."""
    found: list[str] = []
    for heading in HEADING.findall(FENCE.sub("", file.read_text(encoding="utf-8"))):
        text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
        repeated = sum(re.fullmatch(rf"{re.escape(slug)}(-\d+)?", each) is not None for each in found)
        found.append(f"{slug}-{repeated}" if repeated else slug)
    return set(found)


def test_anchors_are_those_of_github(tmp_path: Path):
    file = tmp_path / "page.md"
    file.write_text("# `a_b`: [C](d.md), e\n\n## 注意力（attention）\n\n## Twice\n\n## Twice\n\n```\n# code\n```\n")
    assert anchors_of(file) == {"a_b-c-e", "注意力attention", "twice", "twice-1"}


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_links_lead_to_files_and_headings(file: Path):
    for link in LINK.findall(without_code(file.read_text(encoding="utf-8"))):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (file.parent / path).resolve() if path else file
        assert target.is_file() and target.is_relative_to(ROOT), f"{link}: no such file"
        assert not anchor or anchor in anchors_of(target), f"{link}: no such heading"


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_named_files_are_there(file: Path):
    files = [name_of(each) for folder in ROOT.glob("[a-z]*") for each in folder.rglob("*.py")]
    text = re.sub(r"```(?:python|diff)\n# \S+\n.*?```", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    for name in NAMED.findall(text):
        assert any(f"/{each}".endswith(f"/{name}") for each in files), name


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_blocks_of_code_are_code(file: Path):
    text = file.read_text(encoding="utf-8")
    for block in FENCE.finditer(text):
        language, code = block[3], block[4]
        if language == "json":
            json.loads(code)
        if language == "python" and not QUOTED.search(text[: block.start()][-200:]):
            ast.parse(code)


def test_the_site_has_every_page_once():
    notebooks = (ROOT / "docs").glob("**/*.ipynb")
    api = (ROOT / "docs" / "api").glob("*.rst")
    expected = sorted(name_of(file.with_suffix("")) for file in (*FILES, *notebooks, *api))
    assert sorted(SITE["pages"]()) == expected


def test_the_api_of_the_site_has_modules_that_exist():
    modules = [module for package in SITE["API"] for module in SITE["modules"](package)]
    assert len(set(modules)) == len(modules) > 80
    for module in modules:
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), module


def test_every_page_of_the_tutorial_is_written_in_both_languages():
    pages = {name_of(file).removesuffix(".md") for file in FILES if "tutorial" in file.parts}
    assert {SITE["translation_of"](page) for page in pages} == pages
