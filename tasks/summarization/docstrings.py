"""Documents and summaries without any download: the first line of a docstring is the summary of the rest.

The docstrings are those of the installed Python packages, so results depend on the machine. A split consists of whole
packages, so that the style of a package is never in two splits.
"""

import ast
import sysconfig
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.common.data import cache
from tasks.common.data.division import assign_names
from tasks.common.errors import UsageError, unknown_name

if TYPE_CHECKING:
    import datasets

SHARES = {"test": 0.05, "validation": 0.05}  # of all docstrings
SUMMARY_WORDS = range(3, 31)
MIN_DOCUMENT_WORDS = 10
SKIPPED_FOLDERS = {"test", "tests"}


def load_docstrings(split: str, packages: Sequence[str] = ()) -> "datasets.Dataset":
    """Load the docstrings of a split.

    Args:
        split: train, validation or test.
        packages: The packages to use; none means all installed packages.

    Returns:
        The columns source, target and references.

    Raises:
        UsageError: a package is not installed, or nothing is left for the split.
    """
    import datasets

    root = Path(sysconfig.get_path("purelib"))
    installed = sorted(path.parent.name for path in root.glob("*/__init__.py"))
    for name in packages:
        if name not in installed:
            raise unknown_name("package", name, installed)
    table = read_docstrings(root, packages or installed)
    rows = rows_of_split(table, split) if "source" in table.column_names else []
    if not rows:
        raise UsageError(f"--packages: the given ones leave nothing for {split}; give more, or none for all")
    columns = table.select(rows)[:]
    references = [[target] for target in columns["target"]]
    return datasets.Dataset.from_dict(
        {"source": columns["source"], "target": columns["target"], "references": references}
    )


def rows_of_split(table: "datasets.Dataset", split: str) -> list[int]:
    """Return the rows of a split, without texts that also occur in test (for validation) or in both (for training)."""
    split_by_package = assign_names(Counter(table["package"]), SHARES)
    texts: dict[str, set[str]] = {"test": set(), "validation": set(), "train": set()}
    rows: dict[str, list[int]] = {name: [] for name in texts}
    for row, (package, source) in enumerate(zip(table["package"], table["source"], strict=True)):
        name = split_by_package.get(package, "train")
        texts[name].add(source)
        rows[name].append(row)
    order = list(texts)
    earlier_texts = set().union(*(texts[name] for name in order[: order.index(split)]))
    sources = table.select(rows[split])["source"]
    return [row for row, source in zip(rows[split], sources, strict=True) if source not in earlier_texts]


def read_docstrings(root: Path, packages: Sequence[str]) -> "datasets.Dataset":
    """Return the columns package, source and target for all files of ``packages``, cached until a file changes."""
    import datasets

    files = [
        (package, path)
        for package in packages
        for path in sorted((root / package).rglob("*.py"))
        if not SKIPPED_FOLDERS & {*path.relative_to(root / package).parts} and not path.name.startswith("test_")
    ]
    table = datasets.Dataset.from_dict(
        {"package": [package for package, _ in files], "file": [str(path) for _, path in files]}
    )
    salt = Path(__file__).read_bytes()
    return cache.map_files(table, extract_docstrings, (path for _, path in files), "docstrings", salt)


def extract_docstrings(files: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Extract the docstrings of a batch of files, each text once per file."""
    rows = [
        (package, source, target)
        for package, file in zip(files["package"], files["file"], strict=True)
        for source, target in dict.fromkeys(parse_docstrings(Path(file).read_bytes()))
    ]
    return {name: [row[column] for row in rows] for column, name in enumerate(("package", "source", "target"))}


def parse_docstrings(code: bytes) -> list[tuple[str, str]]:
    """Return document and summary of each docstring where both are long enough; nothing for invalid Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about invalid escape sequences
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return []
    pairs = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first, _, rest = (ast.get_docstring(node) or "").partition("\n\n")  # a blank line, as PEP 257 asks
            source, target = " ".join(rest.split()), " ".join(first.split())
            is_valid = "\n" not in first and not {"\0", "\ufffd"} & {*first, *rest}
            if is_valid and len(target.split()) in SUMMARY_WORDS and len(source.split()) >= MIN_DOCUMENT_WORDS:
                pairs.append((source, target))
    return pairs
