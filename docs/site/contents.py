"""The pages of the site in the order of its navigation; nothing of Sphinx, so that a test can read it.

A page is a file without its suffix. The chapters of the tutorial, and its notebook, are those that are there.
"""

from pathlib import Path

ROOT = Path(__file__).parents[2]
TASKS = (
    *("translation", "speech_recognition", "image_captioning", "video_to_text", "audio_visual_speech", "joint"),
    *("summarization", "dialogue", "poetry", "code_completion"),
)
APPLICATIONS = (
    *("translation", "dialogue", "poetry", "code-completion"),
    *("summarization", "speech", "image-captions", "video"),
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


def tutorial(suffix: str) -> dict[str, dict[str, list[str]]]:
    """Return the navigation of the tutorial in one language: the chapters, and the applications below theirs."""
    folder = ROOT / "docs" / "tutorial"
    chapters = sorted(file.stem for file in folder.glob("[0-9]*.md") if file.stem.endswith(".zh-CN") == bool(suffix))
    notebooks = sorted(file.stem for file in folder.glob("*.ipynb"))
    if not suffix:
        chapters += notebooks
    return {
        f"docs/tutorial/README{suffix}": {"": [f"docs/tutorial/{name}" for name in chapters]},
        f"docs/tutorial/05-applications{suffix}": {
            "": [f"docs/tutorial/applications/{name}{suffix}" for name in APPLICATIONS]
        },
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
    **tutorial(""),
    **tutorial(".zh-CN"),
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
