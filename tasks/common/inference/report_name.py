"""The name of the files of an evaluation: another one for other data, another search or other models."""

import itertools
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from decoders.config import SearchConfig
from encoders.pretrained.downloads import HubName
from tasks.common.errors import UsageError
from tasks.common.files import load_json
from tasks.common.inference.predictor import Predictor

MAX_DATA_NAME = 40  # characters


def name_report(folder: Path, split: str, data: str | None, suffix: str = "") -> str:
    """Name the report of a split: ``test-mydata-beam10``, or ``test-mydata-2-beam10`` beside that of another mydata.

    Args:
        folder: Where it is saved.
        split: train, validation or test.
        data: The data, if they are not those of the run.
        suffix: The rest of the name, which says how hypotheses are generated.
    """
    first = name_data(split, data)
    if data is None:
        return f"{first}{suffix}"
    names = itertools.chain([first], (f"{first}-{number}" for number in itertools.count(2)))
    return next(f"{name}{suffix}" for name in names if not is_of_other_data(folder / f"{name}{suffix}.json", data))


def is_of_other_data(report: Path, data: str) -> bool:
    """Tell whether there is a report that can be read and is on other data."""
    try:
        other = load_json(report)["data"] if report.is_file() else None
    except (UsageError, KeyError, TypeError):
        return False  # it is damaged, and can be replaced
    # A published report has the name of a folder alone.
    return other is not None and other not in (full_place(data), Path(data).name)


def full_place(data: str) -> str:
    """Return the whole path of data that are here, or else their name on the hub."""
    return str(Path(data).resolve()) if Path(data).exists() else data


def name_data(split: str, data: str | None) -> str:
    """Name a split, and the data where they are not those of the run: ``test-mydata``."""
    if data is None:
        return split
    place = Path(data)
    if place.exists():
        name = place.resolve().name if place.is_dir() else place.stem
    else:
        name = data.partition("/")[2] if HubName.parse(data) else place.name
    return f"{split}-{to_file_name(name)[:MAX_DATA_NAME]}"


def name_settings(predictor: Predictor, search: SearchConfig) -> str:
    """Name the ways in which hypotheses are generated otherwise than by the run alone: ``-beam10-length_penalty0.6``.

    Args:
        predictor: The models; the settings of the run are those of its task.
        search: The settings of the search.
    """
    own = predictor.task.config.search
    changed = {each.name: getattr(search, each.name) for each in fields(search)}
    parts = [name_value(name, value) for name, value in changed.items() if value != getattr(own, name)]
    if len(predictor.models) > 1:
        parts.append(f"ensemble{len(predictor.models)}")
    if predictor.reranker is not None:
        parts.append(f"rerank{predictor.reranker.weight:g}")
    return "".join(f"-{to_file_name(part)}" for part in parts)


def name_value(name: str, value: Any) -> str:
    """Name a setting and its value; a switch like its flag."""
    if isinstance(value, bool):
        return name if value else f"no-{name}"
    return f"{name}{value:g}" if isinstance(value, float) else f"{name}{value}"


def to_file_name(text: str) -> str:
    """Replace what a name of a file can't have, or a shell would read, by hyphens."""
    return re.sub(r"[^\w.+-]+", "-", text).strip("-.")
