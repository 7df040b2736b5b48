"""Formulas as MathML, which browsers show themselves: no script, and nothing from another server."""

import html
import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

DOTS = re.compile(r"\\dots\b")  # which docutils calls \ldots
# docutils takes what follows the letter for a limit of the accent.
ACCENT = re.compile(r"\\(?:bar|dot|hat|overline|tilde|vec|widehat|widetilde)(?:\s+\w|\s*\{\w\})(?=[_^])")
LOGGER = logging.getLogger(__name__)


def to_mathml(node: nodes.Node, *, as_block: bool) -> str:
    """Convert a formula; a warning and its source where that is impossible."""
    formula = ACCENT.sub(r"{\g<0>}", DOTS.sub(r"\\ldots", node.astext()))
    try:
        return tex2mathml(formula, as_block=as_block)
    except MathError as error:
        LOGGER.warning("formula %s: %s", formula, error, location=node)
        return f"<code>{html.escape(formula)}</code>"


def visit_math(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(to_mathml(node, as_block=False))
    raise nodes.SkipNode


def visit_math_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{to_mathml(node, as_block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
