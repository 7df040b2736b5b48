"""The user's cache folder, which holds that of the project and those of the libraries."""

import os
import sys
import tempfile
from pathlib import Path

from tasks.common.console import console
from tasks.common.errors import UsageError


def user_cache() -> Path:
    """Return $XDG_CACHE_HOME or, without it, the folder for caches of the operating system.

    Raises:
        RuntimeError: the user has no home.
    """
    named = os.environ.get("XDG_CACHE_HOME")
    if named:
        return Path(named)
    match sys.platform:
        case "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        case "darwin":
            return Path.home() / "Library" / "Caches"
        case _:
            return Path.home() / ".cache"


def prepare_user_cache() -> None:
    """Put the caches of the project and of its libraries in a temporary folder if the user's can't be written.

    Containers often run under a number that belongs to no user, without a home. What XDG_CACHE_HOME names is left as it
    is. This must be called before libraries are imported, which choose their folders then.

    Raises:
        UsageError: if the temporary folder belongs to another user.
    """
    problem = None if os.environ.get("XDG_CACHE_HOME") else cache_problem()
    if problem is None:
        return
    folder = Path(tempfile.gettempdir(), f"multimodal-seq2seq-{os.getuid() if hasattr(os, 'getuid') else 'cache'}")
    folder.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        raise UsageError(f"{problem}, and {folder} belongs to another user: set XDG_CACHE_HOME to another folder")
    os.environ["XDG_CACHE_HOME"] = str(folder)
    os.environ.setdefault("MPLCONFIGDIR", str(folder / "matplotlib"))  # it would be in the home, too
    console.print(f"{problem}: the cache is in {folder}; set XDG_CACHE_HOME to choose another folder")


def cache_problem() -> str | None:
    """Return why the user's cache folder can't be written; None if it can, after making it if necessary."""
    try:
        folder = user_cache()
        folder.mkdir(parents=True, exist_ok=True)
    except RuntimeError:
        return "this user has no home"
    except OSError as error:
        return f"{error.filename} can't be made ({error.strerror})"
    return None if os.access(folder, os.W_OK | os.X_OK) else f"{folder} can't be written"
