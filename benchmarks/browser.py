"""The web page in a real browser: each modality goes in, and its sentence comes out.

    apt-get install chromium chromium-driver && pip install selenium
    python benchmarks/browser.py RUN [RUN ...] [--screenshot docs/web_page.png]

The runs are trained on the toy world, since its test inputs are what is given to the page: typed, chosen as files, and
spoken into a microphone, which Chromium plays from a file. Each step prints what was seen; the first that fails ends
the script.
"""

import argparse
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tasks import load  # noqa: E402
from tasks.common.web.tabs import tabs_of_run  # noqa: E402

TIMEOUT_S = 60
SUFFIXES = {"audio": ".flac", "image": ".png", "video": ".mp4"}


@contextmanager
def serve(runs: list[str]) -> Iterator[str]:
    """Serve runs on a free port, and give the address of the page."""
    command = [sys.executable, "run.py", "serve", *runs, "--port", "0", "--max-mb", "5"]
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
        "window-size=1360,900",
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
    """What a user does with the page."""

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
    print(f"{what:34} {seen}", flush=True)


def check_tab(page: Page, title: str, kind: str, inputs: list, folder: Path) -> None:
    """Give inputs of the built-in data to a tab, and look at the sentence and at what it attended to."""
    for number, each in enumerate(inputs):
        if kind == "text":
            seen = page.ask(page.type_text, each.value)
        else:
            path = folder / f"{title}-{number}{SUFFIXES[kind]}"
            path.write_bytes(each.value)
            seen = page.ask(page.choose, path)
        say(
            title if not number else "",
            f"{seen!r}{' = reference' if seen.lower().rstrip('.') == each.reference.lower().rstrip('.') else f', reference {each.reference!r}'}",
        )
        assert len(seen.split()) > 2, seen
    shown = {"text": ".token", "audio": "canvas.shade"}.get(kind, ".frames canvas")
    before = page.colors(shown)
    page.point_at(".word:nth-child(3)")
    assert page.colors(shown) != before, "the view does not follow the pointer"
    say("", f"{len(page.find_all('.word'))} words, {len(page.find_all(shown))} × {shown} follow the pointer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--screenshot", type=Path)
    options = parser.parse_args()
    tabs = [tab for run in options.runs for tab in tabs_of_run(run, load(run))]
    kinds = [tab.task.input_kinds[0] for tab in tabs]
    with tempfile.TemporaryDirectory() as name, serve(options.runs) as address:
        folder = Path(name)
        microphone = folder / "microphone.wav"
        spoken = tabs[kinds.index("audio")].examples[1]
        samples, rate = soundfile.read(io.BytesIO(spoken.value))
        soundfile.write(microphone, np.concatenate([samples, np.zeros(3 * rate)]), rate)
        with open_browser(microphone) as browser:
            browser.get(address)
            page = Page(browser)
            for number, (tab, kind) in enumerate(zip(tabs, kinds, strict=True)):
                page.open_tab(number)
                check_tab(page, tab.task_name, kind, tab.examples[:2], folder)
                browser.save_screenshot(f"/tmp/h/shot-{number}.png")


if __name__ == "__main__":
    main()
