"""The web page through HTTP: each modality goes in, and what the model generates in Python comes out."""

import base64
import dataclasses
import http.client
import io
import json
import re
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
import soundfile
import uvicorn
from PIL import Image

from tasks import load, run
from tasks.common.inference.prediction import Prediction
from tasks.common.web import answers, app
from tasks.common.web.server import open_socket
from tasks.common.web.tabs import Tab, tabs_of_run

RATE_HZ = 16_000
MAX_BYTES = 300_000
TEXT, SOUND, IMAGE, VIDEO, FIXED_CONTEXT = range(5)  # the tabs
NAMES = {TEXT: {}, SOUND: {"name": "a.wav"}, IMAGE: {"name": "a.png"}, VIDEO: {"name": "a.mp4"}}
KINDS = {TEXT: "text", SOUND: "sound", IMAGE: "image", VIDEO: "video"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, save_text_pairs: Callable[..., None]) -> list[Path]:
    """A joint run of four modalities, trained for a few steps, and a run whose decoder has no attention."""
    data = tmp_path_factory.mktemp("pairs")
    save_text_pairs(data, train=160, validation=12)
    folder = tmp_path_factory.mktemp("runs")
    sizes = ["--speech-recognition.num-scenes", "16", "--image-captioning.num-scenes", "32"]
    flags = ["--video-to-text.num-scenes", "16", "--train.epochs", "1", "--search.max-length", "12"]
    run.main(["joint", "train", "tiny", "--translation.data", str(data), *sizes, *flags, "--run", str(folder / "all")])
    short = ["--num-scenes", "16", "--train.epochs", "1", "--attention.score", "none"]
    run.main(["speech_recognition", "train", "tiny", *short, "--run", str(folder / "fixed")])
    return [folder / "all", folder / "fixed"]


@pytest.fixture(scope="module")
def tabs(runs: list[Path]) -> list[Tab]:
    return [tab for run in runs for tab in tabs_of_run(str(run), load(run))]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


Ask = Callable[..., Answer]


@pytest.fixture(scope="module")
def ask(tabs: list[Tab]) -> Iterator[Ask]:
    """Serve the page, and ask it: ``ask(address, body, headers, **query)``."""
    listening = open_socket("127.0.0.1", 0)
    port = listening.getsockname()[1]
    config = uvicorn.Config(app.build_app(tabs, MAX_BYTES, "127.0.0.1"), log_level="error", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()

    def ask(address: str, body: Any = None, headers: dict[str, str] | None = None, **query: Any) -> Answer:
        has_parts = headers is not None and "Transfer-Encoding" in headers
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        method = "GET" if body is None else "POST"
        address = f"{address}?{urlencode(query)}"
        connection.request(method, address, body, headers or {}, encode_chunked=has_parts)
        response = connection.getresponse()
        received = {name.lower(): value for name, value in response.getheaders()}
        answer = Answer(response.status, received, response.read())
        connection.close()
        return answer

    yield ask
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def inputs(tabs: list[Tab]) -> dict[int, bytes]:
    return {
        TEXT: "eine rote Sieben über einer blauen Zwei".encode(),
        **{number: bytes(tabs[number].examples[0].value) for number in (SOUND, IMAGE, VIDEO)},  # pyright: ignore
    }


@pytest.mark.parametrize("number", [TEXT, SOUND, IMAGE, VIDEO], ids=KINDS.get)
def test_the_page_shows_what_the_model_generates_and_attends_to(number, tabs, inputs, ask):
    answer = ask(f"/api/tabs/{number}/predict", inputs[number], **NAMES[number])
    assert answer.status == 200
    expected = tabs[number].model(inputs[number], task=tabs[number].part)
    assert answer.json["text"] == expected.text and answer.json["score"] == pytest.approx(expected.score, abs=1e-4)
    (segment,) = answer.json["segments"]
    assert segment["sentences"] == [{"text": expected.text, "score": pytest.approx(expected.score, abs=1e-4)}]
    assert re.sub(r"\s", "", "".join(segment["words"])) == re.sub(r"\s", "", expected.text)
    (view,) = segment["views"]
    weights = np.array(view["weights"])
    assert view["kind"] == KINDS[number] and len(weights) == len(segment["words"])
    if number in (TEXT, SOUND, IMAGE):
        np.testing.assert_allclose(weights.reshape(len(weights), -1).sum(axis=1), 1, atol=0.01)
    if number == VIDEO:
        assert weights.shape[1] == len(view["pictures"]) == len(view["times"])


@pytest.mark.parametrize("number", [TEXT, SOUND, IMAGE, VIDEO], ids=KINDS.get)
def test_the_plot_is_that_of_the_model(number, inputs, ask):
    answer = ask(f"/api/tabs/{number}/plot", inputs[number], **NAMES[number])
    assert answer.headers["content-type"] == "image/png"
    assert min(Image.open(io.BytesIO(answer.content)).size) > 100


def test_the_search_is_set_for_each_request(inputs, ask):
    best = ask(f"/api/tabs/{TEXT}/predict", inputs[TEXT], beam=4, n_best=3).json["segments"][0]["sentences"]
    assert len(best) == 3 and best == sorted(best, key=lambda each: -each["score"])

    def sample(seed: int) -> list[dict[str, Any]]:
        query = {"sample": "true", "n_best": 6, "temperature": 3, "seed": seed}
        return ask(f"/api/tabs/{TEXT}/predict", inputs[TEXT], **query).json["segments"][0]["sentences"]

    assert sample(1) == sample(1) != sample(2)


def test_each_tab_describes_itself(tabs, ask):
    described = ask("/api/tabs").json
    assert described["max_bytes"] == MAX_BYTES
    assert [each["title"] for each in described["tabs"]] == [
        *("translation", "speech recognition", "image captioning", "video to text"),
        "speech recognition",
    ]
    assert [each["run"] for each in described["tabs"]] == ["all"] * 4 + ["fixed"]
    assert [each["has_examples"] for each in described["tabs"]] == [False, True, True, True, True]
    assert described["tabs"][SOUND]["training_data"] == "the toy world"
    assert ".wav" in described["tabs"][SOUND]["suffixes"] and ".npy" not in described["tabs"][SOUND]["suffixes"]
    values = {each["name"]: each["value"] for each in described["tabs"][TEXT]["settings"]}
    assert values["max_length"] == 12 and values["beam"] == tabs[TEXT].task.config.search.beam


def test_examples_are_test_inputs_of_the_built_in_data_as_a_user_gives_them(tabs, ask):
    assert ask(f"/api/tabs/{TEXT}/examples").json == []  # trained on files
    for number in (SOUND, IMAGE, VIDEO):
        listed = ask(f"/api/tabs/{number}/examples").json
        assert len(listed) == 6 and all(each["reference"] and each["text"] is None for each in listed)
        content = ask(f"/api/tabs/{number}/examples/1").content
        assert content == tabs[number].examples[1].value
        assert ask(f"/api/tabs/{number}/predict", content, **NAMES[number]).status == 200
    assert ask(f"/api/tabs/{IMAGE}/examples/6").status == 404


def test_an_image_keeps_its_shape(ask):
    file = io.BytesIO()
    Image.new("RGB", (120, 40), "red").save(file, "PNG")
    (view,) = ask(f"/api/tabs/{IMAGE}/predict", file.getvalue(), name="a.png").json["segments"][0]["views"]
    shown = Image.open(io.BytesIO(base64.b64decode(view["pictures"][0].partition(",")[2])))
    assert shown.width == 3 * shown.height


def wav(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE_HZ, format="WAV")
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    """Return the beginning of a PNG of any size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + bytes(4)
        + b"IDAT"
    )


@pytest.mark.parametrize(
    ("number", "content", "query", "status", "message"),
    [
        (TEXT, b" \n", {}, 400, "there is no text: write one"),
        (TEXT, b"a" * 20_001, {}, 400, "the text has 20,001 characters; allowed are 20,000"),
        (TEXT, b"ab", {"beam": "many"}, 400, "Beam size is 'many'; allowed is 1 to 20"),
        (TEXT, b"ab", {"beam": 10**6}, 400, "Beam size is '1000000'; allowed is 1 to 20"),
        (TEXT, b"ab", {"top_p": "nan", "sample": "true"}, 400, "Top p is 'nan'; allowed is 0.01 to 1"),
        (TEXT, b"ab", {"n_best": 9}, 400, "Sentences is 9; allowed is between 1 and the beam, 2"),
        (TEXT, b"ab", {"seed": "-1"}, 400, "seed is '-1'; allowed are whole numbers of 9 digits at most"),
        (IMAGE, b"/etc/hostname", {}, 400, "there is no file: choose one"),
        (SOUND, b"http://127.0.0.1:9/a.wav", {}, 400, "there is no file: choose one"),
        (IMAGE, b"no image", {"name": "http://127.0.0.1:9/"}, 400, "http://127.0.0.1:9/ is not a readable image"),
        (IMAGE, png_header(50_000, 50_000), {"name": "a.png"}, 400, "a.png has 2500 million pixels"),
        (IMAGE, b"", {"name": "a.png"}, 400, "a.png is empty: there is nothing in it"),
        (IMAGE, b"Dear all", {"name": "a.png"}, 400, "a.png is not a readable image"),
        (
            IMAGE,
            bytes(MAX_BYTES + 1),
            {"name": "a.png"},
            413,
            "the file is larger than 0.3 MB",
        ),
        (SOUND, wav(np.zeros(0)), {"name": "a.wav"}, 400, "a.wav lasts 0.00 s; at least 0.1 s are needed"),
        (SOUND, wav(np.zeros(RATE_HZ)), {"name": "a.wav"}, 400, "a.wav is silent"),
        (VIDEO, b"no video" * 100, {"name": "a.mp4"}, 400, "a.mp4 is not a readable video"),
        (9, b"ab", {}, 404, "there is no tab 9; there are 5"),
    ],
)
def test_a_mistake_is_answered_by_a_sentence_and_not_printed(number, content, query, status, message, ask, capsys):
    answer = ask(f"/api/tabs/{number}/predict", content, **query)
    assert answer.status == status and answer.json["error"].startswith(message)
    assert capsys.readouterr().err == ""


def test_a_body_without_a_length_is_limited_too(ask):
    def parts() -> Iterator[bytes]:
        for _ in range(5):
            yield bytes(MAX_BYTES // 4)

    answer = ask(f"/api/tabs/{IMAGE}/predict", parts(), {"Transfer-Encoding": "chunked"}, name="a.png")
    assert answer.status == 413


def test_text_of_an_unknown_script_is_marked(ask):
    notes = ask(f"/api/tabs/{TEXT}/predict", "天地玄黄".encode()).json["notes"]
    assert notes[0] == "the text has no word of the vocabulary: its output is meaningless"


def test_an_input_far_from_the_training_data_is_marked(tabs, inputs):
    prediction = tabs[TEXT].model(inputs[TEXT].decode(), task=tabs[TEXT].part)
    assert isinstance(prediction, Prediction)
    far = dataclasses.replace(prediction, out_of_domain="all is strange")
    (note,) = answers.describe_prediction(far, "the text", "the toy world")["notes"]
    assert note.startswith("the text is far from what the model was trained on, the toy world; do not trust")
    assert note.endswith("all is strange")


def test_a_run_without_attention_says_so(inputs, ask):
    answer = ask(f"/api/tabs/{FIXED_CONTEXT}/predict", inputs[SOUND], name="a.wav").json
    assert answer["notes"][-1] == "the decoder of this run has no attention weights, so there is no alignment to show"
    assert "views" not in answer["segments"][0]
    plot = ask(f"/api/tabs/{FIXED_CONTEXT}/plot", inputs[SOUND], name="a.wav")
    assert plot.status == 400 and plot.json["error"] == "there is no alignment to plot"


def test_a_long_recording_has_a_sentence_for_each_segment_and_a_limited_number_of_alignments(
    tabs, ask, monkeypatch, inputs
):
    monkeypatch.setattr(answers, "MAX_VIEWS", 1)
    samples, rate = soundfile.read(io.BytesIO(inputs[SOUND]))
    content = wav(np.concatenate([samples, np.zeros(2 * rate), samples]))
    answer = ask(f"/api/tabs/{SOUND}/predict", content, name="a.wav").json
    first, second, *_ = answer["segments"]
    assert first["span"][1] <= second["span"][0] and "views" in first and "views" not in second
    assert answer["notes"] == [f"the alignment is shown for the first 1 of {len(answer['segments'])} segments"]


def test_requests_wait_for_each_other_and_a_full_queue_refuses(ask, inputs, monkeypatch):
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(ask(f"/api/tabs/{TEXT}/predict", inputs[TEXT]).status))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 4
    assert ask("/api/queue").json == {"length": 0}
    monkeypatch.setattr(app, "MAX_WAITING", 0)
    full = ask(f"/api/tabs/{TEXT}/predict", inputs[TEXT])
    assert full.status == 503 and "try again" in full.json["error"]


def test_the_page_needs_no_other_server(ask):
    page = ask("/")
    assert page.status == 200 and "default-src 'self'" in page.headers["content-security-policy"]
    files = re.findall(r'(?:href|src)="([\w.]+)"', page.content.decode())
    assert {"page.css", "page.js"} <= set(files)
    for file in [*files, "views.js", "recorder.js"]:
        answer = ask(f"/{file}")
        assert answer.status == 200 and not re.search(rb"https?://|@import|url\(", answer.content), file


def test_a_local_server_answers_under_local_names_only(ask, tabs):
    assert ask("/api/tabs", None, {"Host": "localhost:7860"}).status == 200
    assert ask("/api/tabs", None, {"Host": "[::1]:7860"}).status == 200
    assert ask("/api/tabs", None, {"Host": "example.org"}).status == 400


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as exit:
        run.main(["serve", *arguments])
    assert exit.value.code == 2
    return capsys.readouterr().err.strip()


def test_mistakes_on_the_command_line_are_one_line(capsys, runs, tmp_path):
    assert refused(capsys).startswith("error: serve needs one run or more:")
    assert refused(capsys, str(runs[0]), "--max-mb", "0") == "error: --max-mb is 0; allowed is more than 0"
    assert refused(capsys, str(runs[0]), "--port", "70000") == "error: --port is 70000; allowed is 0 to 65535"
    assert "config.json" in refused(capsys, str(tmp_path), "--port", "0")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        message = f"error: --port {port} is in use: name another one, or 0 for any that is free"
        assert refused(capsys, str(runs[0]), "--port", str(port)) == message


def test_the_command_serves_the_runs_it_names(monkeypatch, runs, tabs):
    built: list[Any] = []
    monkeypatch.setattr("tasks.common.cli.serve.build_app", lambda *given: built.extend(given))
    monkeypatch.setattr("tasks.common.cli.serve.serve_app", lambda app, listening: None)
    run.main(["serve", *(f"{run}/" for run in runs), "--port", "0", "--max-mb", "0.5"])
    served, max_bytes, host = built
    assert [(tab.run, tab.part) for tab in served] == [(tab.run, tab.part) for tab in tabs]
    assert (max_bytes, host) == (500_000, "127.0.0.1")
