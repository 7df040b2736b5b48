"""Files at web addresses, downloaded within limits of size and time, and from the web alone."""

import hashlib
import ipaddress
import socket
import time
import urllib.request
from http.client import HTTPException, IncompleteRead
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from tasks.common.data import cache
from tasks.common.data.limits import MAX_FETCH_S, MAX_FETCHED_BYTES, MEGABYTE
from tasks.common.data.media_files import MediaError
from tasks.common.files import save_atomically

URL_SCHEMES = ("http://", "https://")
TIMEOUT_S = 30  # of a server that sends nothing
CHUNK_BYTES = 1 << 16


class WebRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, except from a server elsewhere to this machine or to its network."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if is_internal(newurl) and not is_internal(req.full_url):
            fp.close()
            raise URLError(f"it leads to {newurl}, which is an address of this machine or of its network")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def build_opener() -> urllib.request.OpenerDirector:
    """Build an opener for http and https alone, unlike urllib's own, which also opens files and ftp."""
    opener = urllib.request.OpenerDirector()
    handlers: list[Any] = [
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        WebRedirects(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ]
    for handler in handlers:
        opener.add_handler(handler)
    return opener


def is_internal(address: str) -> bool:
    """Tell whether an address is of this machine or of its network. One that is not known here can't be."""
    try:
        found = socket.getaddrinfo(urlsplit(address).hostname, None)
    except (OSError, ValueError):
        return False
    return any(not ipaddress.ip_address(str(where[0]).partition("%")[0]).is_global for *_, where in found)


def fetch(address: str) -> str:
    """Download a file into the cache, if it is not there yet, and return its path.

    Raises:
        MediaError: it can't be fetched, or it is larger or takes longer than the limits allow.
    """
    path = cache.cache_dir() / f"fetched-{hashlib.sha256(address.encode()).hexdigest()[:24]}"
    if not path.is_file():
        try:
            with build_opener().open(address, timeout=TIMEOUT_S) as response:
                save_atomically(path, lambda file: download(response, file))
        except (OSError, ValueError, HTTPException) as error:
            if isinstance(error, HTTPError):  # it is an answer, too, whose connection is open
                error.close()
            raise MediaError(f"can't be fetched ({error})") from error
    return str(path)


def download(response: Any, file: Path) -> None:
    """Write what a server sends to a file. Raises ValueError if it is too much, or takes too long."""
    size, end = 0, time.monotonic() + MAX_FETCH_S
    with file.open("wb") as target:
        while chunk := response.read1(CHUNK_BYTES):
            size += target.write(chunk)
            if size > MAX_FETCHED_BYTES:
                raise ValueError(f"it is larger than {MAX_FETCHED_BYTES / MEGABYTE:g} MB")
            if time.monotonic() > end:
                raise ValueError(f"it takes longer than {MAX_FETCH_S} s")
    if response.length:  # read1 does not tell of a connection that was lost
        raise IncompleteRead(b"", response.length)
