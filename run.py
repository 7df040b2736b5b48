"""Any sequence in, a sentence out: python run.py TASK COMMAND ..."""

import sys

from tasks import commands

TASKS = {"translation": "text in one language to text in another"}
COMMANDS = {"train": commands.train, "evaluate": commands.evaluate, "predict": commands.predict}


def main(arguments: list[str]) -> None:
    task, command, *rest = arguments
    COMMANDS[command](task, rest)


if __name__ == "__main__":
    main(sys.argv[1:])
