"""The documentation site: ``make docs`` builds it with Sphinx from the project's own files, where they lie.

contents.py has the navigation, source_view.py the pages of source files, search_language.py the search.
"""

import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import contents  # noqa: E402

project = "Multimodal sequence to sequence"
html_title = project
root_doc = contents.ROOT_PAGE
include_patterns = [f"{page}.*" for page in contents.pages()]
exclude_patterns = [".*", "build", "runs", "dist"]  # not even looked into
extensions = [
    *("myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.linkcode"),
    *("mathml", "search_language", "source_view"),
]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4  # the anchors of GitHub
nb_execution_mode = "off"  # notebooks are saved with their outputs
suppress_warnings = ["myst.header"]

autodoc_default_options = {"members": True, "member-order": "bysource", "show-inheritance": True}
add_module_names = False
toc_object_entries_show_parents = "hide"
autodoc_class_signature = "separated"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False  # what a contract says is said there
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False

html_theme = "furo"
templates_path = ["templates"]
html_static_path = ["static"]
html_css_files = ["site.css"]
html_additional_pages = {"index": "index.html"}
html_copy_source = False
html_show_copyright = False
html_search_language = "english and chinese"
html_math_renderer = "mathml"


CHINESE = re.compile(r"[\u2014-\u201d\u3000-\u9fff\uff00-\uffef]{2}")  # characters and punctuation


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Append to a page what is not for readers on GitHub: the pages below it, or the modules of a package."""
    for caption, group in contents.CONTENTS.get(page, {}).items():
        entries = "\n".join(f"/{entry}" for entry in group)
        title = f":caption: {caption}\n" * bool(caption)
        source[0] += f"\n\n```{{toctree}}\n:hidden:\n{title}\n{entries}\n```\n"
    folder, _, package = page.rpartition("/")
    if folder == "docs/api":
        source[0] += "".join(map(describe_module, contents.modules(package)))


def describe_module(name: str) -> str:
    return f"\n\n{name}\n{'-' * len(name)}\n\n.. automodule:: {name}\n"


class JoinChineseLines(SphinxTransform):
    """Remove line breaks between Chinese characters, which browsers would show as spaces."""

    default_priority = 400

    def apply(self, **kwargs: Any) -> None:
        for element in self.document.findall(nodes.TextElement):
            around = zip(element.children, element.children[1:], element.children[2:], strict=False)
            breaks = [
                line_break
                for before, line_break, after in around
                if line_break == "\n" and CHINESE.match(before.astext()[-1:] + after.astext()[:1])
            ]
            element.children = [child for child in element.children if not any(child is each for each in breaks)]


def add_languages(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Tell the templates the language of a page, and the same page in the other language."""
    context["language"] = "zh-CN" if page.endswith(".zh-CN") else "en"
    other = contents.translation_of(page)
    context["other_language"] = other if other in app.env.found_docs else None


def setup(app: Sphinx) -> None:
    app.add_transform(JoinChineseLines)
    app.connect("source-read", add_contents)
    app.connect("html-page-context", add_languages)
