"""What ``predict`` writes and says of an input: any of several processes generates it, and one writes those of all."""

import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.common.data.addresses import URL_SCHEMES
from tasks.common.inference.config import SUBTITLES
from tasks.common.inference.formats import Formatter
from tasks.common.inference.prediction import NOTHING, Prediction
from tasks.common.processes import Processes

MAX_NAME = 40  # characters of an input's name in a warning, and in the name of a file if it is no file itself


@dataclass(frozen=True)
class Outcome:
    """All that is written and said of an input, without its sources; it can be sent to another process.

    Attributes:
        number: The number of the input, from 1.
        part: The name of the part that has read it.
        name: The input as the user named it.
        text: The output.
        has_sentence: Whether a sentence was generated.
        problem: Why the input can't be used; None if it can.
        remarks: What is to be said of it.
        out_of_domain: Why it is far from the training data; None if it is not, or that is not known.
        recorded_s: Its duration, 0 where sources have none.
        taken_s: The duration of the search.
        plots: The files with the plot of each segment: see ``render_plot``.
    """

    number: int
    part: str
    name: str
    text: str = ""
    has_sentence: bool = False
    problem: str | None = None
    remarks: Sequence[str] = ()
    out_of_domain: str | None = None
    recorded_s: float = 0.0
    taken_s: float = 0.0
    plots: Sequence[dict[str, bytes]] = ()


def make_outcome(
    prediction: Prediction, number: int, part: str, taken_s: float, formatter: Formatter, *, has_plots: bool
) -> Outcome:
    """Format a prediction, and plot it if there are to be plots."""
    problem, said = prediction.problem, remarks(prediction, number)
    has_output = problem is not None or formatter.name not in SUBTITLES or all(prediction.spans)
    if not has_output:
        problem = "has no duration: there are no subtitles of it"
        said.append(f"{prediction.name} {problem}")
    return Outcome(
        number=number,
        part=part,
        name=prediction.name,
        text=formatter(prediction, number) if has_output else "",
        has_sentence=bool(prediction.text),
        problem=problem,
        remarks=said,
        out_of_domain=prediction.out_of_domain,
        recorded_s=sum((span[1] - span[0] for span in prediction.spans if span), 0.0),
        taken_s=taken_s,
        plots=[render_plot(prediction, segment) for segment in range(len(prediction.hypotheses))] if has_plots else (),
    )


def remarks(prediction: Prediction, number: int) -> list[str]:
    """Return what is to be said of an input: why it can't be used, damage, that nothing is recognized."""
    name = prediction.name if prediction.parsed.is_named else f"input {number}"
    if prediction.problem:
        return [f"{name} {prediction.problem}"]
    is_empty = prediction.hypotheses and NOTHING in prediction.notes
    return [
        *(f"{name} {note}" for note in prediction.parsed.notes),
        *([f"input {number} ({short_name(prediction.name)}): {NOTHING}"] if is_empty else []),
    ]


def render_plot(prediction: Prediction, segment: int) -> dict[str, bytes]:
    """Plot the alignment of the best sentence of a segment.

    Returns:
        The content of each file by the ending of its name, ``.png`` or ``-KIND.png``; none if there is nothing to plot.
    """
    with tempfile.TemporaryDirectory() as folder:
        prediction.plot(Path(folder) / "plot.png", segment)
        return {file.name.removeprefix("plot"): file.read_bytes() for file in sorted(Path(folder).iterdir())}


def gather_in_order(chunks: Iterator[Iterable[Outcome]], processes: Processes) -> Iterator[Iterable[Outcome]]:
    """Yield the outcomes of all processes in the order of the inputs: after each chunk those that are known by then.

    A process that is alone generates each when it is asked for.
    """
    if processes.count == 1:
        yield from chunks
        return
    waiting: dict[int, Outcome] = {}
    numbers = itertools.count(1)
    due = next(numbers)
    is_over = False
    while not is_over:
        chunk = next(chunks, None)
        gathered = processes.gather_objects(None if chunk is None else list(chunk))
        waiting |= {outcome.number: outcome for each in gathered if each for outcome in each}
        known: list[Outcome] = []
        while due in waiting:
            known.append(waiting.pop(due))
            due = next(numbers)
        yield known
        is_over = not any(gathered)


def short_name(name: str) -> str:
    """Shorten the name of an input: to that of its file, without its folder, or to its first characters."""
    name = Path(name).name if name.startswith(URL_SCHEMES) or is_path(name) else name
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"


def is_path(name: str) -> bool:
    """Tell whether a file or a folder has this name."""
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # too long for a name, or with characters that no name has
        return False
