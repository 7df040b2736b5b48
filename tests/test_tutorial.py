"""The tutorial: its code is that of the project, its tables and figures are what lessons have measured."""

import re
import textwrap
from pathlib import Path

import pytest

from lessons import LESSONS

ROOT = Path(__file__).parents[1]
TUTORIAL = ROOT / "docs" / "tutorial"
PAGES = sorted([*TUTORIAL.glob("*.md"), *TUTORIAL.glob("applications/*.md")])
QUOTE = re.compile(r"^<!-- source: (\S+) -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"^<!-- results: (\w+) -->\n((?:\|.*\n)+)", re.MULTILINE)
FIGURE = re.compile(r"^!\[[^\]]+\]\((results/(\w+)\.png)\)\n\n(.*)$", re.MULTILINE)
NUMBER = re.compile(r"[-−]?\d[\d,.]*")
assert PAGES, "the chapters of the tutorial"


def numbers(table: str) -> list[list[str]]:
    """The numbers in each row below the header, cell by cell."""
    return [NUMBER.findall(row.replace("−", "-")) for row in table.strip().splitlines()[2:]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_quoted_code_is_in_the_file(page):
    for name, code in QUOTE.findall(page.read_text(encoding="utf-8")):
        source = "\n".join(line.strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
        place = 0
        for part in re.split(r"^\s*\.\.\.\n", textwrap.dedent(code), flags=re.MULTILINE):
            lines = "\n".join(line.strip() for line in part.strip("\n").splitlines())
            place = source.find(lines, place)
            assert place >= 0, f"{page.name}: not in {name}:\n{part}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_those_of_the_lessons(page):
    for name, table in TABLE.findall(page.read_text(encoding="utf-8")):
        assert numbers(table) == numbers((TUTORIAL / "results" / f"{name}.md").read_text(encoding="utf-8")), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_command_stands_under_each_figure(page):
    for path, name, line in FIGURE.findall(page.read_text(encoding="utf-8")):
        assert (TUTORIAL / path).is_file()
        assert line == f"    python run.py lesson {name}" and name in LESSONS, path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_page_is_written_in_both_languages_with_the_same_measurements(page):
    stem = page.name.split(".")[0]
    files = (page.with_name(f"{stem}{suffix}") for suffix in (".md", ".zh-CN.md"))
    english, chinese = (file.read_text(encoding="utf-8") for file in files)
    for pattern in (TABLE, FIGURE):
        measured = [[match.group(1) for match in pattern.finditer(text)] for text in (english, chinese)]
        assert measured[0] == measured[1], f"{stem}: {pattern.pattern}"


@pytest.mark.parametrize("name", LESSONS)
def test_each_lesson_is_in_the_tutorial(name):
    assert any(f"lesson {name}\n" in page.read_text(encoding="utf-8") for page in PAGES)
