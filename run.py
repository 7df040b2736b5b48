"""Any sequence in, a sentence out.

    python run.py                                   this page, with all tasks and presets
    python run.py demo                              a scene read, heard, seen and watched: one table and a gallery
    python run.py TASK train [PRESET] [--data PATH_OR_HUB_ID] [--run DIR] [--resume] [--flags ...]
    python run.py TASK evaluate RUN [--split test] [--beam 5] [--baseline RUN] [--ensemble RUN ...]
    python run.py TASK predict RUN INPUT ... [--beam N] [--n-best N] [--plot-dir DIR]
    python run.py TASK compare [PRESET] --vary attention=dot,general,additive [--seeds 1,2,3]
    python run.py dialogue chat RUN                 a conversation on the terminal
    python run.py TASK tune [PRESET] --search train.lr=1e-4..1e-2 [--search decoder.hidden=128,256] [--trials 20]

--help behind any of them lists its flags.
"""

import os
import sys
from importlib import import_module

TASKS = {
    "translation": "a sentence in one language in, the same in another out",
    "speech_recognition": "sound in, its words out",
    "image_captioning": "a picture in, a sentence about it out",
    "video_to_text": "a video in, a sentence out: about it, or read from lips",
    "dialogue": "the last turns of a conversation in, a reply out",
    "code_completion": "the lines before in, the rest of a line or the next one out",
    "summarization": "a text in, its gist out",
    "poetry": "lines of verse in, the next line or the rest of the poem out",
}
COMMANDS = {  # where each is written; loaded when called, since torch takes its time
    "train": "tasks.common.cli.commands",
    "evaluate": "tasks.common.cli.commands",
    "predict": "tasks.common.cli.commands",
    "compare": "tasks.common.cli.compare",
    "tune": "tasks.common.cli.tune",
}


def main(arguments: list[str]) -> None:
    # Before tokenizers is loaded, which else warns whenever a process that prepares batches is forked off.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    from tasks.common.errors import UsageError, unknown_name

    try:
        match arguments:
            case [] | ["-h" | "--help" | "help"] | [_, "-h" | "--help"] if arguments[:1] != ["demo"]:
                overview()
            case ["demo", *flags]:
                import_module("tasks.common.cli.demo").demo(flags)
            case [task, *_] if task not in TASKS:
                raise unknown_name("task", task, [*TASKS, "demo"])
            case [task]:
                raise UsageError(f"{task} needs a command: {', '.join(commands_of(task))}")
            case [task, command, *_] if command not in commands_of(task):
                raise unknown_name("command", command, commands_of(task))
            case [task, command, *rest]:
                getattr(import_module(commands_of(task)[command]), command)(task, rest)
    except UsageError as error:
        if os.environ.get("LOCAL_RANK", "0") == "0":  # of several processes one speaks
            print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stdout = None
        sys.exit(141)


def commands_of(task: str) -> dict[str, str]:
    """Those that every task has, and those of its own."""
    return COMMANDS | getattr(import_module(f"tasks.{task}"), "COMMANDS", {})


def overview() -> None:
    print(__doc__)
    for name, description in TASKS.items():
        print(f"{name}: {description}")
        for preset, build in import_module(f"tasks.{name}").PRESETS.items():
            print(f"    {preset:24} {build.__doc__.strip().splitlines()[0]}")


if __name__ == "__main__":
    main(sys.argv[1:])
