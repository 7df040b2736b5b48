"""The notebook of the tutorial: its code runs, and it was saved with outputs, of which none is an error."""

import json
import re
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt

from tasks.common.console import console

ROOT = Path(__file__).parents[1]
NOTEBOOK = json.loads((ROOT / "docs" / "tutorial" / "tutorial.ipynb").read_text(encoding="utf-8"))
CELLS = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
TINY = {"NUM_PAIRS": 200, "NUM_EPOCHS": 2, "MAX_OBJECTS": 2}
MAX_CHARACTERS = 700_000


def test_it_runs_at_a_tiny_size(monkeypatch):
    plt.switch_backend("agg")
    monkeypatch.setattr(console, "quiet", console.quiet)  # the notebook changes it
    sizes, *others = ("".join(cell["source"]) for cell in CELLS)
    assert re.findall(r"^(\w+) = ", sizes, re.MULTILINE) == list(TINY)
    names: dict[str, Any] = dict(TINY)
    for number, source in enumerate(others, start=2):
        exec(compile(source, f"cell {number} of the notebook", "exec"), names)
    plt.close("all")
    assert len(names["losses"]) == len(names["models"]) == 3
    assert all(losses[-1] < losses[0] for losses in names["losses"].values())


def test_it_was_saved_after_running_from_top_to_bottom():
    """As ``jupyter execute --inplace docs/tutorial/tutorial.ipynb`` does."""
    assert [cell["execution_count"] for cell in CELLS] == list(range(1, len(CELLS) + 1))
    outputs = [output for cell in CELLS for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 5


def test_it_is_small_and_names_no_folder_of_a_machine():
    text = json.dumps(NOTEBOOK)
    assert len(text) < MAX_CHARACTERS
    assert not re.search(r"/(home|root|tmp|work|Users)/", text)
