"""The server of the page: its socket, and the loop that answers requests until Ctrl-C."""

import errno
import socket
from typing import Any

import uvicorn

from tasks.common.errors import UsageError

MAX_PORT = 65535


def open_socket(host: str, port: int) -> socket.socket:
    """Open the socket to listen on. Raises UsageError if the port is taken, or can't be had for another reason."""
    if not 0 <= port <= MAX_PORT:
        raise UsageError(f"--port is {port}; allowed is 0 to {MAX_PORT}")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(found[4][:2], family=found[0])
    except socket.gaierror as error:
        raise UsageError(f"--host {host} is not an address: name one of this machine, such as 127.0.0.1") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(f"--port {port} is in use: name another one, or 0 for any that is free") from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise UsageError(f"--host {host} is not an address of this machine: name one, such as 127.0.0.1") from error
        raise UsageError(f"--port {port} can't be opened ({error.strerror}): name one above 1023") from error


def address_of(listening: socket.socket) -> str:
    """Return the web address of a socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if listening.family == socket.AF_INET6 else f"http://{host}:{port}"


def serve_app(app: Any, listening: socket.socket) -> None:
    """Answer requests until Ctrl-C; print the address of the page first."""
    print(f"{address_of(listening)}  (Ctrl-C ends the server)", flush=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, ws="none")
    uvicorn.Server(config).run(sockets=[listening])
