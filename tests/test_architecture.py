"""The import order: attention ← encoders ← decoders ← tasks.common ← tasks.NAME ← lessons, tasks.run."""

import ast
import re
from pathlib import Path

import pytest

from tasks import run

ROOT = Path(__file__).parents[1]
PACKAGES = ("attention", "encoders", "decoders", "tasks", "lessons")
GENERIC = ("attention", "encoders", "decoders", "tasks.common")
DEMO = ("tasks.common.cli.demo", "tasks.common.cli.demo_scene")  # they show one task of each modality
TASK_WORDS = re.compile(
    r"\b(poems?|poetry|verses?|rhymes?|conversations?|dialogues?|python|docstrings?|code completion"
    r"|captions?|captioning|lip reading)\b",
    re.IGNORECASE,
)
WORDS_ALLOWED = (  # files and packages for one modality, whose texts may say which tasks they serve
    "tasks.common.text_task",
    "tasks.common.captioning_config",
    "tasks.common.captioning_task",
    "tasks.common.data.captioned_media",
    "tasks.common.data.media_folders",
    "tasks.common.data.media_probe",
    "tasks.common.data.images",
    "tasks.common.extras",
    "tasks.common.program",
    "tasks.common.metrics",
)
# The hub's parallel corpora have a column of the name of a task.
PARALLEL_TEXT = ("tasks.common.data.parallel_text", "tasks.common.data.pair_names")
PARTS = {"tasks.audio_visual_speech": {"tasks.speech_recognition", "tasks.video_to_text"}}  # a task made of others
CACHE = {"tasks.common.data.cache", "tasks.common.errors"}  # the toy world keeps what it renders on disk


def modules() -> list[Path]:
    """All source files, tests and benchmarks left out."""
    files = [
        file
        for package in ("attention", "encoders", "decoders", "tasks", "lessons")
        for file in (ROOT / package).rglob("*.py")
    ]
    return sorted([ROOT / "run.py", *files])


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(file: Path) -> set[str]:
    """The project's modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    own = {name_of(other) for other in modules()}
    return found & own


def room_of(module: str) -> str:
    """The package in the import order, or the task's own folder."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "tasks" else parts[0]


def allowed(module: str) -> set[str]:
    """The rooms that a module may import from."""
    room = room_of(module)
    order = ["attention", "encoders", "decoders", "tasks.common"]
    if room in order:
        rooms = {*order[: order.index(room) + 1], "tasks"}
        return rooms | ({"tasks.toy_world"} if module in DEMO else set())
    if room == "tasks.toy_world":
        return {room}
    if room == "lessons":  # they are made of everything
        return {room, *map(room_of, map(name_of, modules()))} - {"run"}
    if room == "run":
        return {"tasks", "tasks.run"}
    if room == "tasks":
        return {room, "tasks.common"}  # for ``load``, which imports when it is called
    return {*order, "tasks", "tasks.toy_world", room} | PARTS.get(room, set())


@pytest.mark.parametrize("file", modules(), ids=name_of)
def test_imports_point_one_way(file):
    module = name_of(file)
    wrong = {other for other in imports_of(file) if room_of(other) not in allowed(module)}
    if room_of(module) == "tasks.toy_world":
        wrong -= CACHE | {"tasks", "tasks.common", "tasks.common.data"}
    assert not wrong, f"{module} imports {', '.join(sorted(wrong))}"


def strings_of(file: Path) -> set[str]:
    """The string constants of a file, docstrings included."""
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_generic_code_names_no_task():
    """Apart from the demo."""
    for file in modules():
        module = name_of(file)
        if module.startswith(GENERIC) and module not in DEMO:
            strings = strings_of(file)
            if module in PARALLEL_TEXT:
                strings.discard("translation")
            assert not strings & set(run.TASKS), module


def test_texts_of_generic_code_do_not_mention_single_tasks():
    """Docstrings, help and messages, apart from the demo and files for one modality."""
    for file in modules():
        module = name_of(file)
        if module.startswith(GENERIC) and module not in DEMO and not module.startswith(WORDS_ALLOWED):
            found = {match.group() for text in strings_of(file) for match in TASK_WORDS.finditer(text)}
            assert not found, f"{module}: {', '.join(sorted(found))}"


def test_lines_of_markdown_are_short():
    """At most 120 characters, apart from tables."""
    files = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("**/*.md"),
        *ROOT.glob("tasks/*/*.md"),
        *ROOT.glob("benchmarks/*.md"),
    ]
    assert len(files) > 10
    for file in files:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            assert len(line) <= 120 or line.startswith("|"), f"{file.relative_to(ROOT)}:{number}"


def test_every_task_has_the_same_files():
    for task in run.TASKS:
        inside = {file.name for file in (ROOT / "tasks" / task).iterdir()}
        assert {"__init__.py", "config.py", "task.py", "presets.py", "README.md"} <= inside, task
