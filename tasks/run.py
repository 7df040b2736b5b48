"""Any sequence in, a sentence out.

    python run.py                                   this page, with all tasks and presets
    python run.py demo                              all modalities on the toy world: one table and a gallery
    python run.py TASK train [PRESET] [--data PATH_OR_HUB_ID] [--run DIR] [--resume] [--flags ...]
    python run.py TASK evaluate RUN [--split test] [--beam 5] [--baseline RUN] [--ensemble RUN ...]
    python run.py TASK predict RUN INPUT ... [--beam N] [--n-best N] [--format srt] [--output-dir DIR] [--plot-dir DIR]
    python run.py TASK compare [PRESET] --vary attention=dot,general,additive [--seeds 1,2,3]
    python run.py TASK tune [PRESET] --space train.lr=1e-4..1e-2 [--space decoder.hidden_dim=128,256] [--trials 20]
    python run.py export RUN --to onnx [--quantize int8]    a run as ONNX graphs, with a script that needs no PyTorch
    python run.py push RUN OWNER/NAME [--private] [--license apache-2.0]    a run to the Hugging Face hub
    python run.py lesson [NAME]                     an experiment of the tutorial (docs/tutorial), in three minutes
    python run.py serve RUN [RUN ...]               a web page on which runs are tried
    python run.py dialogue chat RUN                 a conversation on the terminal
    python run.py joint extract RUN --task NAME --run DIR    a task of a joint run as a run of its own

RUN is a run folder, or a run of the hub: OWNER/NAME or OWNER/NAME@REVISION.
--help after any of them lists its flags. With --device cpu (cuda, cuda:1, mps) any of them uses that device.
"""

import contextlib
import os
import signal
import sys
import time
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from tasks import TASKS
from tasks.common.program import program

GRACE_S = 5.0  # between the same error in several processes

# The module of each command; that of its flags has the same name and _options at its end.
PROGRAM_COMMANDS = {  # of no one task
    "demo": "tasks.common.cli.demo",
    "export": "tasks.common.cli.export",
    "lesson": "lessons.lesson",
    "push": "tasks.common.cli.push",
    "serve": "tasks.common.cli.serve",
}
SHARED_COMMANDS = ("train", "evaluate", "predict")  # whose work several processes share
TASK_COMMANDS = {
    "train": "tasks.common.cli.train",
    "evaluate": "tasks.common.cli.evaluate",
    "predict": "tasks.common.cli.predict",
    "compare": "tasks.common.cli.compare",
    "tune": "tasks.common.cli.tune",
}


def main(arguments: list[str] | None = None) -> None:
    """Run a command, and exit with its status where it failed. ``arguments``: None takes those of the process."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # Before tokenizers is imported; otherwise it warns whenever a process that prepares batches is forked.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    from tasks.common.allocation import keep_freed_memory
    from tasks.common.errors import UsageError, describe_outside_error, is_lost_process, one_line, unknown_name
    from tasks.common.extras import missing_extra
    from tasks.common.streams import prepare_streams
    from tasks.common.user_cache import prepare_user_cache

    try:
        prepare_streams()
        keep_freed_memory()
        prepare_user_cache()
        if any(argument.partition("=")[0] == "--device" for argument in arguments):
            others: list[str] = load("tasks.common.device").take_device(arguments)
            arguments = others
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            join_processes(arguments)
        match arguments:
            case [command, *rest] if command in PROGRAM_COMMANDS:
                run_command(PROGRAM_COMMANDS[command], rest)
            case [] | ["-h" | "--help" | "help"] | [_, "-h" | "--help"]:
                print_overview()
            case [task, *_] if task not in TASKS:
                raise unknown_name("task", task, [*TASKS, *PROGRAM_COMMANDS])
            case [task]:
                raise UsageError(f"{task} needs a command: {', '.join(commands_of(task))}")
            case [task, command, *_] if command not in commands_of(task):
                raise unknown_name("command", command, commands_of(task))
            case [task, command, *rest]:
                run_command(commands_of(task)[command], rest, task)
        sys.stdout.flush()
    except UsageError as error:
        fail(describe_error(error, arguments))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has stopped reading
        sys.stdout = None
        sys.exit(141)
    except Exception as error:
        if is_lost_process(error):
            advice = "continue with --resume" if "train" in arguments[1:2] else "run the command again"
            fail(f"another process has ended; {advice}, with all processes", is_of_all=False)
        is_missing = isinstance(error, ModuleNotFoundError)
        message = missing_extra(error) if is_missing else describe_outside_error(error)
        if message is None:
            raise
        fail(one_line(message))


def join_processes(arguments: list[str]) -> None:
    """Join the other processes of the command before anything can fail, so that they notice if this one ends.

    Raises:
        UsageError: for a command that can't share its work.
    """
    from tasks.common.errors import UsageError

    is_of_no_task = bool(arguments) and arguments[0] in PROGRAM_COMMANDS
    for command in arguments[:1] if is_of_no_task else arguments[1:2]:
        if command not in SHARED_COMMANDS:
            raise UsageError(
                f"{command} does not share its work among processes, as {', '.join(SHARED_COMMANDS)} do: start it "
                "without accelerate launch"
            )
    load("tasks.common.device").process_state()


def fail(message: str, *, is_of_all: bool = True) -> NoReturn:
    """Print an error and exit.

    If it may be an error of all processes of a machine, the first one prints it. The others wait: if the first one has
    ended, they are ended by the program that has started them; otherwise the error is their own.
    """
    if is_of_all and os.environ.get("LOCAL_RANK", "0") != "0":
        time.sleep(GRACE_S)
    print(f"error: {message}", file=sys.stderr)
    with contextlib.suppress(OSError):  # what was printed before; it may be what failed
        if sys.stdout is not None:
            sys.stdout.flush()
            sys.exit(2)
    sys.stdout = None  # Python would try again at its end
    sys.exit(2)


def run_command(module: str, arguments: list[str], *task: str) -> None:
    """Parse the arguments of a command, and then import what it needs: torch takes its time, and --help needs none.

    Args:
        module: The module with the function of the command's name. The module of its flags has ``parse_command``, which
            returns the arguments of that function.
        arguments: The arguments of the command.
        task: The name of the task, if the command is that of one.
    """
    parsed = load(f"{module}_options").parse_command(*task, arguments)
    getattr(load(module), module.rpartition(".")[2])(*task, *parsed)


def load(name: str) -> ModuleType:
    """Import the module of a command; Ctrl-C ends the program at once, since libraries are half imported then."""
    previous = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return import_module(name)
    finally:
        signal.signal(signal.SIGINT, previous)


def commands_of(task: str) -> dict[str, str]:
    """Return the commands of every task and those of this one."""
    return TASK_COMMANDS | getattr(import_module(f"tasks.{task}"), "COMMANDS", {})


def describe_error(error: Exception, arguments: list[str]) -> str:
    """Return the message of an error, with settings (decoder.copy) as the flags of the command (--decoder.copy)."""
    if not arguments or arguments[0] not in TASKS:
        return str(error)
    from tasks.common.cli.messages import with_flags

    trains = len(arguments) > 1 and arguments[1] in ("train", "compare", "tune")
    part = str(error).partition(":")[0]  # of several tasks, that whose settings the message names
    config_class = import_module(f"tasks.{arguments[0]}").Config.class_for([part])
    return with_flags(str(error), config_class, arguments[2:], flat=None if trains else "search")


def print_overview() -> None:
    print(str(__doc__).replace("python run.py", program()))
    for name, description in TASKS.items():
        print(f"{name}: {description}")
        for preset, build in import_module(f"tasks.{name}").PRESETS.items():
            print(f"    {preset:24} {build.__doc__.strip().splitlines()[0]}")
