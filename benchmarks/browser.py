"""The web page in a real browser: each modality goes in, and its sentence comes out.

    apt-get install chromium chromium-driver && pip install selenium
    python benchmarks/browser.py RUN [RUN ...] [--screenshots FOLDER]

The runs are trained on the toy world, since its test inputs are what is given to the page: typed, chosen as files, and
spoken into a microphone, which Chromium plays from a file. Each step prints what was seen; the first that fails ends
the script.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import soundfile
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tasks import load  # noqa: E402
from tasks.common.web.tabs import Tab, tabs_of_run  # noqa: E402

TIMEOUT_S = 60
MAX_MB = 2  # of a file
SPOKEN = 1  # the example that is spoken into the microphone
MICROPHONE_S = 6
SUFFIXES = {"audio": ".flac", "image": ".png", "video": ".mp4"}

PLOT_WIDTH = """
const [panel, done] = arguments;
const timer = setInterval(() => {
  const image = panel.querySelector(".plot-file img");
  if (image?.complete) { clearInterval(timer); done(image.naturalWidth); }
}, 50);
"""


@contextmanager
def serve(runs: list[str]) -> Iterator[str]:
    """Serve runs on a free port, and give the address of the page."""
    command = [sys.executable, "run.py", "serve", *runs, "--port", "0", "--max-mb", str(MAX_MB)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().split()[0]
        finally:
            server.terminate()


@contextmanager
def open_browser(microphone: Path) -> Iterator[webdriver.Chrome]:
    """Open Chromium without a window; its microphone plays a file."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in (
        "headless=new",
        "no-sandbox",
        "window-size=1360,940",
        "use-fake-ui-for-media-stream",
        "use-fake-device-for-media-stream",
        f"use-file-for-fake-audio-capture={microphone}%noloop",
        "autoplay-policy=no-user-gesture-required",
    ):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    try:
        yield browser
    finally:
        browser.quit()


class Page:
    """The actions of a user on the page."""

    def __init__(self, browser: webdriver.Chrome):
        self.browser, self.wait = browser, WebDriverWait(browser, TIMEOUT_S)

    def open_tab(self, number: int) -> None:
        buttons = self.wait.until(lambda browser: browser.find_elements(By.CSS_SELECTOR, "nav button"))
        buttons[number].click()
        self.panel = self.browser.find_elements(By.CSS_SELECTOR, ".panel")[number]

    def find_all(self, selector: str) -> list[WebElement]:
        return self.panel.find_elements(By.CSS_SELECTOR, selector)

    def find(self, selector: str) -> WebElement:
        return self.wait.until(lambda _: next(iter(self.find_all(selector)), None))

    def type_text(self, text: str) -> None:
        self.find("textarea").clear()
        self.find("textarea").send_keys(text)
        self.find(".generate").click()

    def choose(self, path: Path) -> None:
        self.find("input[type=file]").send_keys(str(path))

    def record(self, seconds: float) -> None:
        self.find(".microphone").click()
        self.wait.until(lambda _: "Stop" in self.find(".microphone").text)
        time.sleep(seconds)
        self.find(".microphone").click()

    def set(self, name: str, value: str) -> None:
        """Set a number of the search, as a user who types it does."""
        self.browser.execute_script("arguments[0].open = true", self.find("details"))
        field = self.find(f"input[name={name}]")
        if field.get_attribute("type") == "checkbox":
            field.click()
        else:
            field.clear()
            field.send_keys(value + "\t")

    def result(self) -> str:
        """Wait for the sentence, or for the error in its place, and return it."""
        self.wait.until(lambda _: self.find_all(".output .facts, .output .error"))
        return self.find(".output .sentence, .output .error").text

    def ask(self, action, *arguments: object) -> str:
        """Do something that generates, and return the result."""
        self.browser.execute_script("arguments[0].replaceChildren()", self.find(".output"))
        action(*arguments)
        return self.result()

    def colors(self, selector: str) -> list[str]:
        """Return what is painted: the backgrounds of elements, or the pixels of canvases."""
        script = "return [...arguments[0].querySelectorAll(arguments[1])].map(each => each.tagName === 'CANVAS' ?"
        script += " each.toDataURL() : each.style.background)"
        return self.browser.execute_script(script, self.panel, selector)

    def point_at(self, selector: str) -> None:
        element = self.find(selector)
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        webdriver.ActionChains(self.browser).move_to_element(element).perform()


def say(what: str, seen: object) -> None:
    print(f"{what:20} {seen}", flush=True)


def check_tab(page: Page, tab: Tab, folder: Path) -> None:
    """Give two examples of the built-in data to a tab, and look at the sentence and at what its words attended to."""
    kind = tab.task.input_kinds[0]
    for number, each in enumerate(tab.examples[:2]):
        if isinstance(each.value, str):
            seen = page.ask(page.type_text, each.value)
        else:
            path = folder / f"{tab.task_name}-{number}{SUFFIXES[kind]}"
            path.write_bytes(each.value)
            seen = page.ask(page.choose, path)
        say("" if number else tab.task_name, f"{seen!r}, reference {each.reference!r}")
        assert len(seen.split()) > 2, seen
    shown = {"text": ".token", "audio": "canvas.shade"}.get(kind, ".frames canvas")
    before = page.colors(shown)
    page.point_at(".word:nth-child(3)")
    assert page.colors(shown) != before, "the view does not follow the pointer"
    say("", f"{len(page.find_all('.word'))} words, {len(before)} × {shown} follow the pointer")
    page.find(".plot-file button").click()
    width = page.browser.execute_async_script(PLOT_WIDTH, page.panel)
    assert width > 200
    say("", f"plot, {width} pixels wide")
    seen = page.ask(page.find(".examples button:nth-child(2)").click)
    say("", f"example: {seen!r}")
    assert tab.examples[1].reference in page.find(".facts").text


def check_search(page: Page, tab: Tab) -> None:
    """Set the search: n best, samples, and a value that is not allowed."""
    text = str(tab.examples[0].value)
    page.set("n_best", "4")
    page.ask(page.type_text, text)
    assert len(page.find_all(".ranked tbody tr")) == 4
    say("4 sentences", [row.text for row in page.find_all(".ranked tbody tr")][1])
    page.set("n_best", "9")
    say("9 of a beam of 5", page.ask(page.type_text, text))
    assert page.find(".error")
    page.set("n_best", "3")
    page.set("sample", "")
    page.set("temperature", "3")
    page.ask(page.type_text, text)
    samples = [row.text for row in page.find_all(".ranked tbody tr")]
    page.set("seed", "7")
    page.ask(page.type_text, text)
    assert samples != [row.text for row in page.find_all(".ranked tbody tr")]
    say("3 samples", samples[-1])


def check_sound(page: Page, tab: Tab) -> None:
    """Speak into the microphone, and play what was recorded."""
    seen = page.ask(page.record, MICROPHONE_S)
    say("microphone", f"{seen!r}, reference {tab.examples[SPOKEN].reference!r}")
    assert len(seen.split()) > 2
    page.find(".play").click()
    page.wait.until(lambda _: page.find(".head").is_displayed() and page.find_all(".word.now"))
    say("playback", f"the word heard is lit: {page.find('.word.now').text!r}")


def check_mistakes(page: Page, kinds: Sequence[str], folder: Path) -> None:
    """Give what can't be used; each is answered by a sentence."""
    silence = np.zeros(16_000)
    soundfile.write(folder / "silence.wav", silence, 16_000)
    soundfile.write(folder / "nothing.wav", silence[:0], 16_000)
    (folder / "broken.mp4").write_bytes(b"no video" * 100)
    (folder / "letter.png").write_text("Dear all")
    (folder / "empty.png").touch()
    (folder / "large.png").write_bytes(bytes(round(1.1e6 * MAX_MB)))
    mistakes = {
        "audio": ("silence.wav", "nothing.wav", "letter.png"),
        "image": ("letter.png", "empty.png", "large.png"),
        "video": ("broken.mp4",),
    }
    for kind, names in mistakes.items():
        if kind in kinds:
            page.open_tab(kinds.index(kind))
            for name in names:
                page.ask(page.choose, folder / name)
                shown = [each.text for each in page.find_all(".output .error, .output .note")]
                assert shown, name
                say(name, shown[0])
    if "text" in kinds:
        page.open_tab(kinds.index("text"))
        page.ask(page.type_text, "天地玄黄")
        say("unknown script", page.find(".note").text)


def addresses(browser: webdriver.Chrome) -> set[str]:
    """Return the addresses that the browser has asked for, those of data and blobs left out."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [each["params"]["request"]["url"] for each in events if each["method"] == "Network.requestWillBeSent"]
    return {urlsplit(url).netloc for url in sent if url.startswith("http")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--screenshots", type=Path, help="folder for a screenshot of each tab")
    options = parser.parse_args()
    tabs = [tab for run in options.runs for tab in tabs_of_run(run, load(run))]
    kinds = [tab.task.input_kinds[0] for tab in tabs]
    with tempfile.TemporaryDirectory() as name, serve(options.runs) as address:
        folder = Path(name)
        samples, rate = soundfile.read(io.BytesIO(tabs[kinds.index("audio")].examples[SPOKEN].value))
        soundfile.write(folder / "spoken.wav", np.concatenate([np.zeros(rate), samples, np.zeros(9 * rate)]), rate)
        with open_browser(folder / "spoken.wav") as browser:
            browser.get(address)
            page = Page(browser)
            for number, tab in enumerate(tabs):
                page.open_tab(number)
                check_tab(page, tab, folder)
                if options.screenshots:
                    page.point_at(".word:nth-child(3)")
                    browser.execute_script("scrollTo(0, 0)")
                    browser.save_screenshot(str(options.screenshots / f"{number}-{tab.task_name}.png"))
            for kind, check in (("text", check_search), ("audio", check_sound)):
                page.open_tab(kinds.index(kind))
                check(page, tabs[kinds.index(kind)])
            check_mistakes(page, kinds, folder)
            asked = addresses(browser)
            assert asked == {urlsplit(address).netloc}, asked
            say("asked servers", ", ".join(asked))
            errors = [entry for entry in browser.get_log("browser") if "/api/" not in entry["message"]]
            assert not errors, errors
    print("all as expected")


if __name__ == "__main__":
    main()
