"""The pages of the site in the order of its navigation; nothing of Sphinx, so that a test can read it.

A page of the navigation is a file without its suffix. The chapters of the tutorial and of its parts are those that are
there.
"""

from pathlib import Path

ROOT = Path(__file__).parents[2]
TASKS = (
    *("translation", "speech_recognition", "image_captioning", "video_to_text", "audio_visual_speech", "joint"),
    *("summarization", "dialogue", "poetry", "code_completion"),
)
GUIDES = ("attention", "extending", "architecture", "design", "evaluation", "distributed", "log")
API = ("attention", "encoders", "decoders", "tasks", "lessons")
TASK_MODULES = (  # of the package tasks: what is used from outside, and what a new task builds on
    *("tasks", "tasks.common.inference.trained_model", "tasks.common.inference.prediction"),
    *("tasks.common.task", "tasks.common.task_group", "tasks.common.media_task", "tasks.common.text_task"),
    *("tasks.common.captioning_task", "tasks.common.data.inputs", "tasks.common.analysis.views"),
    *("tasks.common.text.tokenizer", "tasks.common.metrics.base", "tasks.common.model"),
    *("tasks.common.config", "tasks.common.data.config", "tasks.common.text.config", "tasks.common.training.config"),
    *("tasks.common.inference.config", "tasks.common.training.trainer", "tasks.common.errors"),
)


def chapters(folder: str, *, chinese: bool) -> list[str]:
    """Return the pages of a folder in one of the two languages, without its README."""
    files = (file for pattern in ("*.md", "*.ipynb") for file in (ROOT / folder).glob(pattern))
    pages = {file.relative_to(ROOT).with_suffix("").as_posix() for file in files}
    return sorted(page for page in pages if page.endswith(".zh-CN") == chinese and "README" not in page)


def tutorial(*, chinese: bool) -> dict[str, dict[str, list[str]]]:
    """Return the navigation of the tutorial: the chapters below its index, and the applications below theirs."""
    suffix = ".zh-CN" if chinese else ""
    return {
        f"docs/tutorial/README{suffix}": {"": chapters("docs/tutorial", chinese=chinese)},
        f"docs/tutorial/05-applications{suffix}": {"": chapters("docs/tutorial/applications", chinese=chinese)},
    }


# The root page, and the groups of pages below a page by their captions.
ROOT_PAGE = "README"
CONTENTS: dict[str, dict[str, list[str]]] = {
    ROOT_PAGE: {
        "Tutorial": ["docs/tutorial/README"],
        "中文": ["README.zh-CN", "docs/tutorial/README.zh-CN"],
        "Tasks": [f"tasks/{task}/README" for task in TASKS],
        "Guides": [f"docs/{guide}" for guide in GUIDES],
        "API": [f"docs/api/{package}" for package in API],
        "Project": ["benchmarks/README", "CHANGELOG", "SECURITY"],
    },
    **tutorial(chinese=False),
    **tutorial(chinese=True),
}


def pages() -> list[str]:
    """Return all pages of the site; each but the root is in the navigation once."""
    return [ROOT_PAGE, *(page for groups in CONTENTS.values() for group in groups.values() for page in group)]


def modules(package: str) -> list[str]:
    """Return the modules of a package that the page of its API describes."""
    if package == "tasks":
        return list(TASK_MODULES)
    files = sorted((ROOT / package).rglob("*.py"))
    return [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files if file.name != "__init__.py"]


def translation_of(page: str) -> str:
    """Return the page in the other language: README and README.zh-CN."""
    return page.removesuffix(".zh-CN") if page.endswith(".zh-CN") else f"{page}.zh-CN"
