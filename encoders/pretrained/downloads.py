"""Downloads from servers: names of the hub, a check that it answers, made once, and advice where it does not.

The libraries try a server that does not answer again and again, for half a minute; asked beforehand, they go on at once
with what is in their cache.
"""

import difflib
import functools
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
from huggingface_hub.utils import get_session

TIMEOUT_S = 2.0  # of a server's first answer
SUFFIXES = {".csv", ".tsv", ".json", ".jsonl", ".parquet", ".txt", ".zip", ".gz", ".tar"}  # of files with data
SUFFIXES |= {".pt", ".pth", ".bin", ".ckpt", ".safetensors"}  # of files with weights


@dataclass(frozen=True)
class HubName:
    """A name of the Hugging Face hub: OWNER/NAME, with a configuration and a revision if there are any.

    Attributes:
        repository: OWNER/NAME.
        configuration: One of several datasets in a repository: OWNER/NAME:CONFIGURATION.
        revision: A branch, a tag or a commit: OWNER/NAME@REVISION.
    """

    repository: str
    configuration: str | None = None
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> "HubName | None":
        """Read a name; None for any other text. A relative path of two parts is a name as well."""
        match = re.fullmatch(r"(\w[\w.-]*/\w[\w.-]*)(?::([^@/]+))?(?:@(\w[\w./-]*))?", text, re.ASCII)
        return None if match is None else cls(*match.groups())

    @property
    def owner(self) -> str:
        return self.repository.partition("/")[0]

    def __str__(self) -> str:
        configuration = f":{self.configuration}" if self.configuration else ""
        return f"{self.repository}{configuration}{f'@{self.revision}' if self.revision else ''}"


def is_missing_path(name: str) -> bool:
    """Tell whether a name can only be a path, and nothing is there. A hub id is NAME or OWNER/NAME."""
    path = Path(name)
    is_id = not path.is_absolute() and not name.startswith((".", "~")) and not name.endswith("/")
    is_path = not is_id or "\\" in name or name.count("/") > 1 or path.suffix.lower() in SUFFIXES
    return is_path and not path.exists()


@functools.cache
def hub_fault() -> str | None:
    """Ask the Hugging Face hub for an answer; without one, have its libraries read their cache alone.

    Returns:
        Why there is no answer; None if there is one.
    """
    constants = huggingface_hub.constants
    if constants.is_offline_mode():
        return "HF_HUB_OFFLINE is set"
    # The client that downloads, so with the same proxies and certificates.
    fault = fault_of(lambda: get_session().head(constants.ENDPOINT, timeout=TIMEOUT_S))
    if fault is None:
        return None
    constants.HF_HUB_OFFLINE = True
    return f"{constants.ENDPOINT} can't be reached: {fault}"


def hub_advice(fault: str) -> str:
    """Say what to do about a name of the hub that is neither a folder nor in the cache. ``fault``: of ``hub_fault``."""
    return (
        f"it is neither a folder nor in the cache ({huggingface_hub.constants.HF_HOME}), and {fault}; name a folder, "
        "set HF_HOME to the folder of a cache that has it, or HF_ENDPOINT to a mirror"
    )


def fault_of(ask: Callable[[], object]) -> str | None:
    """Return why a request has no answer in ``TIMEOUT_S`` seconds, and None if it has, also if that is a refusal."""
    faults: list[str | None] = []

    def run() -> None:
        try:
            ask()
        except urllib.error.HTTPError:
            faults.append(None)
        except Exception as error:  # each layer of the network raises its own
            faults.append(str(getattr(error, "reason", error)) or type(error).__name__)
        else:
            faults.append(None)

    # A thread, since no timeout of a request includes the look-up of its server's name.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(TIMEOUT_S)
    return faults[0] if faults else f"no answer in {TIMEOUT_S:g} s"


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return the question for the most similar name, to be added to an error; empty if there is none."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {near[0]}" if near and near[0] != name else ""
