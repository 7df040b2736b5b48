"""Random, broken and hostile inputs of every reader: an answer, or one line; ``benchmarks/fuzzing.py`` reads more."""

from datetime import timedelta

import jaxtyping
import pytest
from fuzz_readers import READERS
from hypothesis import HealthCheck, Phase, given, settings

NUM_INPUTS = 200  # of each reader; always the same ones
TIME_LIMIT = timedelta(seconds=30)  # for an input


@pytest.mark.parametrize("name", READERS)
def test_an_input_has_an_answer_or_is_refused_in_one_line(name, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as users have it, and several times as fast
    reader = READERS[name](tmp_path)
    counts = []

    @settings(
        max_examples=NUM_INPUTS // reader.mean_count,
        derandomize=True,
        database=None,
        deadline=TIME_LIMIT,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(reader.inputs)
    def read(value):
        counts.append(reader.count(value))
        reader.read(value)

    read()
    assert sum(counts) >= NUM_INPUTS
    assert "Traceback" not in capfd.readouterr().err  # some libraries print one and go on
