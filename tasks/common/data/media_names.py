"""Media files found by the names that tables and listings give them."""

import os
from pathlib import Path

from tasks.common.data.folders import visible_files
from tasks.common.errors import UsageError


class MediaNames:
    """Finds files by their path in a folder or, in folders inside, by their name, with or without its ending.

    Attributes:
        folder: The folder of the files.
        files: All media files in it.
    """

    def __init__(self, folder: Path, suffixes: tuple[str, ...], place: Path | None = None):
        """``suffixes``: the endings of media files; ``place``: where the table or listing is, if not in the folder."""
        self.folder, self.place = folder, place or folder
        self.files = visible_files(folder, *suffixes) if folder.is_dir() else []
        self.by_name: list[dict[str, list[Path]]] = [{}, {}, {}]  # paths come before names, and names before stems
        for file in self.files:
            paths = {file.relative_to(each).as_posix() for each in (folder, self.place)}
            for level, names in zip(self.by_name, (paths, {file.name}, {file.stem}), strict=True):
                for name in names:
                    level.setdefault(name, []).append(file)

    def find(self, name: str) -> Path | None:
        """Return the media file of a name, which may also be in the way of Windows, ``images\\\\0.png``.

        Raises:
            UsageError: several files have this name.
        """
        name = name.replace("\\", "/")
        files = next((level[name] for level in self.by_name if name in level), [])
        if len(files) > 1:
            first, second = (file.relative_to(self.folder).as_posix() for file in files[:2])
            raise UsageError(
                f"{self.place}: {name} may be {first} or {second}; write the path in the table or listing, like {first}"
            )
        return files[0] if files else None

    def has_file(self, name: object) -> bool:
        """Tell whether a value of a table is the name of a file."""
        if not isinstance(name, str):
            return False
        try:
            return self.find(name) is not None or (self.folder / name).is_file()
        except UsageError:  # of several files
            return True
        except (OSError, ValueError):  # too long for a name, or with characters that no name has
            return False

    def locate(self, name: str) -> Path:
        """Return the path of any file or folder of a name; one in the folder if nothing is there.

        A link in the folder is followed: datasets in the hub's cache consist of links.

        Raises:
            UsageError: several files have this name, or it leads out of the folder, to what is not of these data.
        """
        usual = path_inside(self.folder, name.replace("\\", "/"))
        direct = self.folder / name
        if direct.exists():
            return direct
        return self.find(name) or usual


def path_inside(folder: Path, name: str) -> Path:
    """Return the path of a name in a folder. Raises UsageError if the name leads out of it."""
    path = folder / name
    as_on_windows = folder / name.replace("\\", "/")
    if not Path(os.path.normpath(as_on_windows)).is_relative_to(os.path.normpath(folder)):
        raise UsageError(
            f"the file {name} is outside of {folder}; allowed are names inside of the folder of the data: move the "
            "table, or the files"
        )
    return path
