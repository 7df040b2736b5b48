"""The search of the site, for English and Chinese words.

Chinese is written without spaces. Instead of a dictionary of words, each two neighboring characters are a term, in the
index and in what is searched for: 注意力机制 is found where 注意, 意力, 力机 and 机制 occur.
"""

import re
from itertools import pairwise

from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

HAN = "\u3400-\u9fff"
RUNS = re.compile(rf"[{HAN}]+|[^\W{HAN}]+")
SPLIT_QUERY = rf"""
function splitQuery(query) {{
  const runs = query.match(/[{HAN}]+|(?:(?![{HAN}])[\p{{L}}\p{{N}}_])+/gu) || [];
  return runs.flatMap((run) =>
    /[{HAN}]/.test(run) && run.length > 1
      ? Array.from({{ length: run.length - 1 }}, (_, place) => run.slice(place, place + 2))
      : [run],
  );
}}
"""


class EnglishAndChinese(SearchEnglish):
    """English words by their stems; Chinese characters alone and in pairs."""

    lang = "english and chinese"
    language_name = "English and Chinese"
    js_splitter_code = SPLIT_QUERY

    def split(self, input: str) -> list[str]:
        terms: list[str] = []
        for run in RUNS.findall(input):
            terms += [*run, *map("".join, pairwise(run))] if re.match(f"[{HAN}]", run) else [run]
        return terms


def setup(app: Sphinx) -> None:
    app.add_search_language(EnglishAndChinese)
