"""Every cell of the taxonomy learns: each score with each area and structure, in each task, under each decoder."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch

import tasks
from decoders.config import SearchConfig
from tasks.common.config import AttentionConfig, DecoderConfig
from tasks.common.data.batching import Batch
from tasks.common.errors import UsageError
from tasks.common.task import Task

SCORES = ("dot", "scaled_dot", "cosine", "general", "concat", "additive", "location")
AREAS = ("global", "local_m", "local_p", "monotonic", "hard", "hard by gumbel")
STRUCTURES = ("one head", "heads", "hierarchical", "hierarchical heads")
TASKS = ("translation", "speech_recognition", "image_captioning", "video_to_text")
STEPS = 12
EXAMPLES = 24
OTHERS = torch.arange(EXAMPLES).roll(1)  # each sentence beside the source of another

# Each value of each axis in each task, and each score with each area.
COVERING = [
    (TASKS[(number + shift) % 4], score, area, STRUCTURES[(number + shift // 2) % 4])
    for number, score in enumerate(SCORES)
    for shift, area in enumerate(AREAS)
]


def attention(score: str, area: str, structure: str) -> AttentionConfig:
    return AttentionConfig(
        score=score,
        locality=area.split()[0],
        estimator="gumbel" if area.endswith("gumbel") else "reinforce",
        hierarchy="hierarchical" if structure.startswith("hierarchical") else "flat",
        num_heads=2 if structure.endswith("heads") else 1,
        segment_size=4,
        window_size=3.0,
        hidden_dim=32,
    )


@pytest.fixture(scope="module")
def ready() -> Any:
    """Makes a task of the tiny world with one of its batches, once for all tests."""
    made: dict[str, tuple[Task, Batch]] = {}

    def make(name: str) -> tuple[Task, Batch]:
        if name not in made:
            config = tasks.package(name).PRESETS["tiny"]()
            task = tasks.package(name).Task(config)
            examples = task.load("train").select(range(EXAMPLES))
            task.fit(examples)
            made[name] = task, task.collate(examples, list(range(EXAMPLES)))
        return made[name]

    return make


def learns(task: Task, batch: Batch) -> None:
    """One batch is learned, by means of what is looked at, and can then be written without an error."""
    torch.manual_seed(1)
    model = task.build_model().train()
    unlearned = {name for name, _ in model.named_parameters() if "attention" in name}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = model(batch) / batch.num_target_tokens
        loss.backward()
        assert all(weight.grad is None or weight.grad.isfinite().all() for weight in model.parameters())
        unlearned -= {
            name for name, weight in model.named_parameters() if weight.grad is not None and weight.grad.any()
        }
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0], losses
    assert not unlearned
    model.eval()
    with torch.inference_mode():
        memory = model.encode(batch)
        right, wrong = (model.decoder.alignment(batch.tokens, each) for each in (memory, memory.select(OTHERS)))
        assert right is not None and not torch.equal(right, wrong)
        for ranked in model.decoder.search(memory, SearchConfig(beam=2, max_length=4)):
            assert 1 <= len(ranked[0].tokens) <= 4


@pytest.mark.parametrize(("score", "area", "structure"), itertools.product(SCORES, AREAS, STRUCTURES))
def test_every_score_area_and_structure_learns(score, area, structure, ready):
    task, batch = ready("translation")
    task.config = replace(task.config, attention=attention(score, area, structure))
    learns(task, batch)


@pytest.mark.parametrize(("name", "score", "area", "structure"), COVERING)
def test_in_every_task(name, score, area, structure, ready):
    task, batch = ready(name)
    task.config = replace(task.config, attention=attention(score, area, structure))
    learns(task, batch)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("reader", ["recurrent", "transformer", "convolutional"])
@pytest.mark.parametrize("decoder", ["attention", "transformer"])
def test_any_reader_goes_with_any_decoder(name, reader, decoder, ready):
    task, batch = ready(name)
    summary = "attentive" if decoder == "attention" else "own"
    encoder = replace(task.config.encoder, kind=reader, layers=1, heads=2, summary=summary)
    attention = AttentionConfig(score="scaled_dot", num_heads=2)
    decoding = DecoderConfig(kind=decoder, hidden=32, embedding=32, heads=2, dropout=0.0)
    changed = replace(task.config, encoder=encoder, attention=attention, decoder=decoding)
    before, task.config = task.config, changed
    try:
        learns(task, batch)
    finally:
        task.config = before


def test_a_learned_summary_that_nobody_reads_is_refused(ready):
    task, _ = ready("translation")
    before, encoder = task.config, replace(task.config.encoder, summary="attentive")
    for choices in ({"kind": "transformer"}, {"kind": "ctc"}, {"start": "zeros"}):
        task.config = replace(before, encoder=encoder, decoder=replace(before.decoder, **choices))
        with pytest.raises(UsageError, match=r"--encoder\.summary attentive"):
            task.build_model()
    task.config = before
