"""Summaries that every machine has: the first line of a docstring sums up the rest of it.

Docstrings are read from the Python packages that are installed, so another machine may have others: numbers are of one
machine. A split is made of whole packages, so that nobody's style is both learned and tested.
"""

import ast
import hashlib
import sysconfig
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import datasets

from tasks.common.data import cache
from tasks.common.errors import UsageError, unknown_name

SHARES = {"test": 0.05, "validation": 0.05}  # of all docstrings, at most
SUMMARY = range(3, 31)  # words a summary may have
TESTS = {"test", "tests"}  # folders that are not read
LEAST = 10  # words the rest must have


def load_docstrings(split: str, packages: Sequence[str] = ()) -> datasets.Dataset:
    """Columns source, target and references of a split. ``packages``: only of these; none: of all.

    Raises UsageError for a package that is not installed, and where there are too few for the split.
    """
    root = Path(sysconfig.get_path("purelib"))
    there = sorted(path.parent.name for path in root.glob("*/__init__.py"))
    for name in packages:
        if name not in there:
            raise unknown_name("package", name, there)
    found = read(root, packages or there)
    rows = rows_of(found, split) if "source" in found.column_names else []
    if not rows:
        raise UsageError(f"--packages: those named leave nothing for {split}; name more, or none for all")
    columns = found.select(rows)[:]
    references = [[target] for target in columns["target"]]
    return datasets.Dataset.from_dict(
        {"source": columns["source"], "target": columns["target"], "references": references}
    )


def rows_of(found: datasets.Dataset, split: str) -> list[int]:
    """The rows of a split. What one package took over from another is not learned where it is tested."""
    source_index = assign_packages(Counter(found["package"]))
    texts: dict[str, set[str]] = {"test": set(), "validation": set(), "train": set()}
    rows: dict[str, list[int]] = {name: [] for name in texts}
    for row, (package, source) in enumerate(zip(found["package"], found["source"], strict=True)):
        owner = source_index.get(package, "train")
        texts[owner].add(source)
        rows[owner].append(row)
    order = list(texts)
    earlier = set().union(*(texts[name] for name in order[: order.index(split)]))
    sources = found.select(rows[split])["source"]
    return [row for row, source in zip(rows[split], sources, strict=True) if source not in earlier]


def assign_packages(sizes: Counter[str]) -> dict[str, str]:
    """Which packages are not for training: in the order of a hash of their names, those that fit into a share."""
    source_index: dict[str, str] = {}
    order = sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    for split, share in SHARES.items():
        room = share * sizes.total()
        for name in order:
            if name not in source_index and sizes[name] <= room:
                source_index[name] = split
                room -= sizes[name]
    return source_index


def read(root: Path, packages: Sequence[str]) -> datasets.Dataset:
    """Columns package, source and target, of all files of ``packages``; kept until any of them changes."""
    files = [
        (package, path)
        for package in packages
        for path in sorted((root / package).rglob("*.py"))
        if not TESTS & {*path.relative_to(root / package).parts} and not path.name.startswith("test_")
    ]
    table = datasets.Dataset.from_dict(
        {"package": [package for package, _ in files], "file": [str(path) for _, path in files]}
    )
    return cache.map_files(table, extract, (path for _, path in files), "docstrings", Path(__file__).read_bytes())


def extract(files: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The docstrings of some files, each text once a file."""
    rows = [
        (package, source, target)
        for package, file in zip(files["package"], files["file"], strict=True)
        for source, target in dict.fromkeys(docstrings(Path(file).read_bytes()))
    ]
    return {name: [row[place] for row in rows] for place, name in enumerate(("package", "source", "target"))}


def docstrings(code: bytes) -> list[tuple[str, str]]:
    """The rest and the first line of each docstring that has enough of both. What is no Python has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in what others wrote
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first, _, rest = (ast.get_docstring(node) or "").partition("\n\n")  # a line by itself, as PEP 257 has it
            source, target = " ".join(rest.split()), " ".join(first.split())
            usable = "\n" not in first and not {"\0", "\ufffd"} & {*first, *rest}
            if usable and len(target.split()) in SUMMARY and len(source.split()) >= LEAST:
                found.append((source, target))
    return found
