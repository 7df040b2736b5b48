"""The search of the site, for English and Chinese words.

Chinese is written without spaces. The terms of the index are single characters and each two neighboring ones, which
needs no dictionary. What is searched for is split into words by the browser, and each word into its pairs: 注意力机制
is found where 注意, 意力 and 机制 occur.
"""

import re
from itertools import pairwise

from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

HAN = "\u3400-\u9fff"
RUNS = re.compile(rf"[{HAN}]+|[^\W{HAN}]+")
SPLIT_QUERY = rf"""
const chineseWords = new Intl.Segmenter("zh", {{ granularity: "word" }});

function splitQuery(query) {{
  const runs = query.match(/[{HAN}]+|(?:(?![{HAN}])[\p{{L}}\p{{N}}_])+/gu) || [];
  return runs.flatMap((run) =>
    /[{HAN}]/.test(run) ? Array.from(chineseWords.segment(run)).flatMap((word) => characterPairs(word.segment)) : [run],
  );
}}

function characterPairs(word) {{
  return word.length < 2 ? [word] : Array.from(word.slice(1), (second, place) => word[place] + second);
}}
"""


class EnglishAndChinese(SearchEnglish):
    """English words by their stems; Chinese characters alone and in pairs."""

    lang = "english and chinese"  # its ``language_name`` is that of the stemmer, English
    js_splitter_code = SPLIT_QUERY

    def split(self, input: str) -> list[str]:
        terms: list[str] = []
        for run in RUNS.findall(input):
            terms += [*run, *map("".join, pairwise(run))] if re.match(f"[{HAN}]", run) else [run]
        return terms


def setup(app: Sphinx) -> None:
    app.add_search_language(EnglishAndChinese)
