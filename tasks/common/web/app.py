"""The page and its requests: a prediction for an input, its plot, and the examples.

    GET  /                                     the page, of the files in the folder ``page``
    GET  /api/tabs                             what there is, and what can be set
    GET  /api/tabs/TAB/examples                inputs to try, with their references
    GET  /api/tabs/TAB/examples/NUMBER         the content of one of them
    GET  /api/queue                            the number of requests that wait or are computed
    POST /api/tabs/TAB/predict?beam=5&name=…   a text or the content of a file to a prediction
    POST /api/tabs/TAB/plot?segment=0&beam=5   the same, to its plot as PNG

A mistake of the user is answered by one sentence: {"error": "…"}.
"""

import asyncio
import io
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import torch
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders, QueryParams
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tasks.common.errors import UsageError, describe_outside_error
from tasks.common.extras import missing_extra
from tasks.common.inference.prediction import Prediction
from tasks.common.web.answers import describe_prediction
from tasks.common.web.tabs import Tab

PAGE = Path(__file__).with_name("page")
MAX_WAITING = 32  # requests, after which further ones are refused
MAX_CHARACTERS = 20_000  # of a text
MAX_NUMBER_LENGTH = 9
TEXT = "the text"  # stands for a text in messages, as its name does for a file
MEGABYTE = 1_000_000
LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}
# The page loads nothing from anywhere else.
POLICY = "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; frame-ancestors 'self'"

T = TypeVar("T")


class Queue:
    """Work that is done one after another, since one prediction uses the whole machine."""

    def __init__(self):
        self.lock, self.length = asyncio.Lock(), 0

    async def run(self, request: Request, work: Callable[[], T]) -> T:
        """Do some work of a request in a thread when its turn has come.

        Raises:
            HTTPException: too many wait already, or the client has gone.
        """
        if self.length >= MAX_WAITING:
            raise HTTPException(503, f"{MAX_WAITING} requests are waiting already: try again in a moment")
        self.length += 1
        try:
            async with self.lock:
                if await request.is_disconnected():
                    raise HTTPException(499, "the client has gone")
                return await run_in_threadpool(work)
        finally:
            self.length -= 1


class Guard:
    """Middleware: refuses requests under a foreign name, and sets headers of all responses.

    A page of another site could reach a local server under a name of its own that it lets point here.
    """

    def __init__(self, app: ASGIApp, names: set[str] | None):
        """``names``: the names under which the server may be reached; None allows all."""
        self.app, self.names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        name = urlsplit(f"//{Request(scope).headers.get('host', '')}").hostname
        if self.names is not None and name not in self.names:
            return await PlainTextResponse("this server is local: open it as localhost", 400)(scope, receive, send)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = POLICY
                headers["Cache-Control"] = "no-cache"
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        await self.app(scope, receive, send_with_headers)


class Api:
    """The requests of the page.

    Attributes:
        tabs: The tabs of the page.
        max_bytes: The largest input.
    """

    def __init__(self, tabs: Sequence[Tab], max_bytes: int):
        self.tabs, self.max_bytes, self.queue = tabs, max_bytes, Queue()

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/api/tabs", self.list_tabs),
            Route("/api/queue", self.count_waiting),
            Route("/api/tabs/{tab:int}/examples", self.list_examples),
            Route("/api/tabs/{tab:int}/examples/{number:int}", self.example),
            Route("/api/tabs/{tab:int}/predict", self.predict, methods=["POST"]),
            Route("/api/tabs/{tab:int}/plot", self.plot, methods=["POST"]),
        ]

    async def list_tabs(self, request: Request) -> Response:
        return JSONResponse({"tabs": [tab.describe() for tab in self.tabs], "max_bytes": self.max_bytes})

    async def count_waiting(self, request: Request) -> Response:
        return JSONResponse({"length": self.queue.length})

    async def list_examples(self, request: Request) -> Response:
        tab = self.tab(request)
        examples = await self.queue.run(request, lambda: tab.examples)
        return JSONResponse(
            [
                {"text": each.value if isinstance(each.value, str) else None, "reference": each.reference}
                for each in examples
            ]
        )

    async def example(self, request: Request) -> Response:
        tab = self.tab(request)
        examples = await self.queue.run(request, lambda: tab.examples)
        number = request.path_params["number"]
        if number >= len(examples):
            raise HTTPException(404, f"there is no example {number}; there are {len(examples)}")
        return Response(examples[number].value, media_type="application/octet-stream")

    async def predict(self, request: Request) -> Response:
        tab, content = self.tab(request), await self.content(request)

        def work() -> dict[str, Any]:
            started = time.monotonic()
            prediction = generate(tab, content, request.query_params)
            answer = describe_prediction(prediction, request.query_params.get("name", TEXT), tab.training_data)
            return answer | {"seconds": round(time.monotonic() - started, 3)}

        return JSONResponse(await self.queue.run(request, work))

    async def plot(self, request: Request) -> Response:
        tab, content = self.tab(request), await self.content(request)

        def work() -> bytes:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "plot.png"
                prediction = generate(tab, content, request.query_params)
                segment = whole_number(request.query_params, "segment", 0)
                if segment >= len(prediction.hypotheses) or not prediction.plot(path, segment):
                    raise UsageError("there is no alignment to plot")
                return path.read_bytes()

        return Response(await self.queue.run(request, work), media_type="image/png")

    def tab(self, request: Request) -> Tab:
        """Return the tab of a request. Raises HTTPException if there is none."""
        number = request.path_params["tab"]
        if number >= len(self.tabs):
            raise HTTPException(404, f"there is no tab {number}; there are {len(self.tabs)}")
        return self.tabs[number]

    async def content(self, request: Request) -> bytes:
        """Receive the body of a request. Raises HTTPException if it is too large."""
        content = bytearray()
        if int(request.headers.get("content-length", "0")) <= self.max_bytes:
            async for chunk in request.stream():
                content += chunk
                if len(content) > self.max_bytes:
                    break
            else:
                return bytes(content)
        raise HTTPException(413, f"the file is larger than {self.max_bytes / MEGABYTE:g} MB, the limit of this server")


def whole_number(query: QueryParams, name: str, default: int) -> int:
    """Return a number of a query that is 0 or more. Raises UsageError if it is anything else."""
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_NUMBER_LENGTH):
        raise UsageError(f"{name} is {text!r}; allowed are whole numbers of {MAX_NUMBER_LENGTH} digits at most")
    return int(text)


def generate(tab: Tab, content: bytes, query: QueryParams) -> Prediction:
    """Generate sentences for the content of a request, by the settings of its query.

    Raises:
        UsageError: for an input that can't be used, and for invalid settings.
    """
    name, search = query.get("name"), tab.search(query)
    if name is None:
        if "text" not in tab.task.input_kinds:  # it would be taken for the name of a file of the server, or an address
            raise UsageError("there is no file: choose one")
        text = content.decode("utf-8", errors="replace")
        if len(text) > MAX_CHARACTERS:
            raise UsageError(f"the text has {len(text):,} characters; allowed are {MAX_CHARACTERS:,}")
        if not text.strip():
            raise UsageError("there is no text: write one")
        value: Any = text
    else:
        if not content:
            raise UsageError(f"{name} is empty: there is nothing in it")
        value = io.BytesIO(content)
        value.name = name
    source = tab.model.parse(value, tab.part)
    torch.manual_seed(whole_number(query, "seed", 1))
    (((_, prediction),), _) = next(tab.model.generate([source], {tab.part: search}))
    if prediction.problem:
        raise UsageError(f"{name or TEXT} {prediction.problem}")
    return prediction


def build_app(tabs: Sequence[Tab], max_bytes: int, host: str) -> Starlette:
    """Build the application.

    Args:
        tabs: The tabs of the page.
        max_bytes: The largest input.
        host: The address it listens on; a local one answers under local names only.
    """
    names = LOCAL_NAMES if host in LOCAL_NAMES else None
    return Starlette(
        routes=[*Api(tabs, max_bytes).routes, Mount("/", StaticFiles(directory=PAGE, html=True))],
        middleware=[Middleware(Guard, names=names)],
        exception_handlers=dict.fromkeys((HTTPException, UsageError, ModuleNotFoundError, Exception), answer_error),
    )


async def answer_error(request: Request, error: Exception) -> Response:
    """Answer with the sentence of an error; one of the code is also printed by the server, with its traceback."""
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code)
    message = str(error) if isinstance(error, UsageError) else None
    if isinstance(error, ModuleNotFoundError):
        message = missing_extra(error)
    if message is None:
        message = describe_outside_error(error)
    if message is None:
        return JSONResponse({"error": "the server has made a mistake, which it has printed"}, 500)
    return JSONResponse({"error": message}, 400)
