"""The names of source and target in data on this machine: columns of a table, or endings of files."""

from pathlib import Path

from tasks.common.data.folders import visible_paths
from tasks.common.data.headers import KnownColumns
from tasks.common.data.splits import SPLITS, has_splits
from tasks.common.data.table_files import TABLES
from tasks.common.data.tables import local_columns

SOURCE_NAMES = {"source", "src", "input", "question", "prompt", "document", "article", "text", "body", "original"}
TARGET_NAMES = {"target", "tgt", "output", "answer", "response", "reply", "summary", "highlights", "headline", "title"}
TARGET_NAMES |= {"translation", "reference"}
NO_TEXT = {"id", "idx", "index", "no", "nr", "number", "split", "score", "license"}  # columns beside the texts
DOCUMENTS, NOTICES = (".md", ".pdf", ".html", ".zip", ".gz", ".py"), {"README", "LICENSE", "LICENCE"}


def unsplit_files(data: str) -> dict[str, Path]:
    """Find the text files of data without splits: ``corpus.de``, ``corpus.de.txt`` or ``de.txt`` is the file of de.

    Args:
        data: Their folder, or the beginning of their names, like ``FOLDER/corpus``.

    Returns:
        The file of each ending; nothing if there are splits. Endings of several files are left out.
    """
    place = Path(data)
    if place.is_dir():
        paths = [] if has_splits(place) else visible_paths(place)
    elif place.parent.is_dir() and not place.exists():
        paths = [path for path in visible_paths(place.parent) if path.name.startswith(f"{place.name}.")]
    else:
        paths = []
    found: dict[str, list[Path]] = {}
    for path in paths:
        if path.is_file() and path.suffix.lower() not in (*TABLES, *DOCUMENTS) and path.stem not in NOTICES:
            found.setdefault(path.name.removesuffix(".txt").rpartition(".")[2], []).append(path)
    return {ending: files[0] for ending, files in found.items() if len(files) == 1}


def known_columns(source: str, target: str) -> KnownColumns:
    """Return what is known of the columns of pairs whose columns are chosen by ``source`` and ``target``."""
    return KnownColumns((source, target), frozenset(SOURCE_NAMES | TARGET_NAMES | NO_TEXT))


def pair_names(data: str, source: str, target: str) -> list[str]:
    """List the names that source and target can have in data on this machine: columns, or endings of files.

    ``source`` and ``target`` are the names in the configuration, which may be those of other data.
    """
    place = Path(data)
    for name in SPLITS["train"] if place.is_dir() else ():
        files = [path for path in visible_paths(place) if path.stem == name and path.suffix not in TABLES]
        endings = [path.suffix.removeprefix(".") for path in files if path.is_file()]
        if len(endings) > 1:
            return endings
    files = unsplit_files(data)
    return list(files) if len(files) > 1 else local_columns(place, known_columns(source, target))


def guess_pair(names: list[str], source: str, target: str) -> tuple[str, str] | None:
    """Choose the names of source and target among those that data have; None if they can't be guessed.

    Args:
        names: The columns, or the endings of files, in their order.
        source: The name of the source, taken if it exists.
        target: The same for the target, if it is another one.
    """
    if "translation" in names or (source != target and {source, target} <= {*names}):
        return source, target
    names = [name for name in names if name.lower() not in NO_TEXT]
    target = "" if source == target else target
    sources = [source] if source in names else [name for name in names if name.lower() in SOURCE_NAMES]
    targets = [target] if target in names else [name for name in names if name.lower() in TARGET_NAMES]
    if len(names) == 2:
        sources = sources or [name for name in names if name not in targets][:1]
        targets = targets or [name for name in names if name not in sources][:1]
    return (sources[0], targets[0]) if len(sources) == len(targets) == 1 and sources != targets else None
