"""Command-line flags from dataclasses, by tyro. Every mistake becomes one line.

A flag of another kind of decoder or encoder (kinds.py), and a flag that would have no effect given the others
(flags.py), is refused by name.
"""

import contextlib
import dataclasses
import io
import itertools
import re
import sys
from pathlib import Path
from typing import Any

import tyro

from tasks.common.cli.flags import as_flag, unused_flags
from tasks.common.cli.kinds import choose_kinds, settings_of_other_kinds, show_all_kinds
from tasks.common.cli.messages import with_flags
from tasks.common.errors import UsageError
from tasks.common.hub.runs import find_run
from tasks.common.program import program

DEVICE_HELP = "--device cpu, cuda, cuda:1 or mps goes with every command (default: the GPU, if there is one)."


class HelpText(io.StringIO):
    """Captures the help text in the encoding of the terminal, on which its frame depends."""

    encoding = sys.stdout.encoding


def parse(options: Any, arguments: list[str], program: str, default: Any, *, refuse_unused: bool = True) -> Any:
    """Parse flags into the dataclass ``options``. ``--help`` prints the flags and exits.

    Args:
        options: The dataclass, or a generic alias of it.
        arguments: The flags.
        program: The name of the command, for the help text.
        default: An instance with the default values; its field ``config``, if it has one, is a task's configuration,
            in which the kinds named by the flags are chosen first.
        refuse_unused: Whether flags without effect are refused.

    Raises:
        UsageError: for any mistake.
    """
    output, errors = HelpText(), io.StringIO()
    has_config = hasattr(default, "config")
    try:
        if has_config:
            default = dataclasses.replace(default, config=choose_kinds(default.config, arguments))
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            parsed = tyro.cli(
                options, default=default, args=arguments, prog=program, config=(tyro.conf.AvoidSubcommands,)
            )
    except UsageError:
        raise
    except ValueError as error:  # raised by a configuration about its own values
        raise UsageError(str(error)) from error
    except SystemExit as exit:
        if not exit.code:
            print(show_all_kinds(output.getvalue(), default.config) if has_config else output.getvalue(), end="")
            print(DEVICE_HELP)
            raise
    else:
        if refuse_unused:
            for name, reason in unused_flags(parsed, arguments).items():
                raise no_effect(name, reason, parsed)
        return parsed
    text = errors.getvalue()
    if has_config:
        for message in settings_of_other_kinds(default.config, arguments).values():
            raise UsageError(message)
        text = show_all_kinds(text, default.config)
    raise UsageError(describe_mistake(text))


def describe_mistake(text: str) -> str:
    """Describe in one line a mistake that tyro has explained in a frame of several lines."""
    words = " ".join(re.sub(r"[─│╭╮╰╯]+|-{3,}", " ", text).split())
    words = re.sub(r"For full helptext, (run|see) .*", "", words)
    words = re.sub(r"^(Value error|Invalid choice|Unrecognized options|Parsing error) ", "", words).strip()
    invalid = re.fullmatch(r"Error parsing (--\S+): (.*) Argument helptext: --\S+ (.*)", words)
    if invalid is None:
        return words
    flag, reason, explanation = invalid.groups()
    # What follows the name of the type is the documentation of the setting.
    types = itertools.takewhile(lambda word: re.search("[a-z]", word) is None, explanation.split())
    return f"{flag}: {reason}; allowed is {' '.join(types)}"


def no_effect(setting: str, reason: str, options: Any, where: str = "") -> UsageError:
    """Make the error for a flag without effect; the reason may begin with another setting."""
    if hasattr(options, "config"):
        reason = with_flags(reason, type(options.config))
    return UsageError(f"{as_flag(setting)} has no effect{where}: {reason}")


def parse_run_argument(command: str, arguments: list[str], options: Any, default: Any) -> tuple[Path, list[str]]:
    """Split the arguments of a command into the run folder and the flags, which are those of ``options``."""
    if not arguments:
        raise UsageError(f"{command} needs a run folder: {program()} TASK {command} RUN")
    if arguments[0] in ("-h", "--help"):
        parse(options, ["--help"], f"{program()} TASK {command} RUN", default)
    return find_run(arguments[0]), arguments[1:]


def run_of_flag(flag: str, name: str) -> Path:
    """Return the folder of the run that a flag names. Raises UsageError that begins with the flag: see ``find_run``."""
    try:
        return find_run(name)
    except UsageError as error:
        raise UsageError(f"{flag}: {error}") from error
