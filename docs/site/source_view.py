"""Pages of source files with numbered lines: the files that a page links to, and those of the API.

On GitHub a link to a file shows the file; on the site it shows its page here.
"""

import inspect
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments.lexers import guess_lexer_for_filename
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util.osutil import relative_uri

ROOT = Path(__file__).parents[2]
SUFFIXES = {"", ".cff", ".css", ".html", ".js", ".json", ".py", ".toml", ".txt", ".yml"}  # other files are downloads
shown: set[str] = set()  # files by their paths in the project; each build begins without any


def page_of(file: str) -> str:
    """Return the name of a file's page, and remember that it is needed."""
    shown.add(file)
    return f"source/{file}"


class LinkSources(SphinxTransform):
    """Turn downloads of source files into links to their pages."""

    default_priority = 400

    def apply(self, **kwargs: Any) -> None:
        for download in list(self.document.findall(addnodes.download_reference)):
            file, _ = self.env.relfn2path(download["reftarget"], self.env.docname)
            if Path(file).suffix in SUFFIXES:
                uri = relative_uri(f"{self.env.docname}.html", f"{page_of(file)}.html")
                download.replace_self(nodes.reference("", "", *download.children, internal=True, refuri=uri))


def linkcode_resolve(domain: str, info: dict[str, str]) -> str | None:
    """Return the address of an object's lines, from a page of docs/api."""
    module = sys.modules.get(info["module"])
    if module is None or module.__file__ is None:
        return None
    anchor = ""
    with suppress(AttributeError, TypeError, OSError):  # a constant or a field
        found = inspect.unwrap(reduce(getattr, info["fullname"].split("."), module))
        if inspect.getsourcefile(found) == module.__file__:  # and not another name of something from elsewhere
            anchor = f"#line-{max(inspect.getsourcelines(found)[1], 1)}"
    return f"../../{page_of(Path(module.__file__).relative_to(ROOT).as_posix())}.html{anchor}"


def collect_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Make the pages of all files that are linked."""
    highlighter = app.builder.highlighter  # type: ignore[attr-defined]
    for file in sorted(shown):
        code = (ROOT / file).read_text(encoding="utf-8")
        language = guess_lexer_for_filename(file, code).aliases[0]
        lines = highlighter.highlight_block(
            code, language, linenos="inline", lineanchors="line", anchorlinenos=True, location=file
        )
        yield f"source/{file}", {"title": file, "body": f"<h1>{file}</h1>{lines}"}, "page.html"


def setup(app: Sphinx) -> None:
    shown.clear()
    app.config.linkcode_resolve = linkcode_resolve
    app.add_transform(LinkSources)
    app.connect("html-collect-pages", collect_pages)
