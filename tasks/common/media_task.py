"""The base of all tasks whose inputs are media: files, addresses, or objects of the program."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tasks.common.config import Config
from tasks.common.data.containers import Note
from tasks.common.data.inputs import (
    InputSegment,
    ListedInput,
    ParsedInput,
    list_file_inputs,
    list_files,
    parse_file_input,
)
from tasks.common.data.media_values import file_of_value
from tasks.common.task import Task

C = TypeVar("C", bound=Config)


class MediaTask(Task[C]):
    """A task with inputs that are files of one kind of media."""

    @abstractmethod
    def parse_file(self, file: dict[str, Any], note: Note) -> list[InputSegment]:
        """Make the segments of an input.

        Args:
            file: Its ``path`` or its content, as ``bytes``.
            note: Is told what is to be said of it, such as damage.

        Returns:
            The segments in order; none if there is nothing in it.

        Raises:
            ValueError: it can't be used.
        """

    def is_single_input(self, path: Path) -> bool:
        """Tell whether an argument of ``predict`` is one input, and not a folder of inputs."""
        return path.is_file()

    def list_inputs(self, arguments: Iterable[str]) -> Iterator[ListedInput]:
        return list_file_inputs(arguments, self.is_single_input)

    def parse_input(self, listed: ListedInput) -> ParsedInput:
        path = listed.name if listed.content is None else None
        return parse_file_input(listed.name, {"path": path, "bytes": listed.content}, self.parse_file)

    def count_inputs(self, arguments: Iterable[str]) -> int | None:
        return sum(1 for _ in list_files(arguments, self.is_single_input))

    def parse_value(self, value: Any) -> ParsedInput:
        name, file = file_of_value(value)
        return parse_file_input(name, file, self.parse_file)
