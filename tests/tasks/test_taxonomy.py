"""Every cell of the taxonomy learns: all scores, localities, selections and hierarchies, in every task and decoder."""

import itertools
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch

import tasks
from attention.config import AttentionConfig, ScoreName
from decoders.config import CTCDecoderConfig, RecurrentDecoderConfig, SearchConfig, TransformerDecoderConfig
from encoders.config import ConvS2SEncoderConfig, RecurrentEncoderConfig, TransformerEncoderConfig
from tasks.common.data.batching import Batch
from tasks.common.errors import UsageError
from tasks.common.task import Task

SCORES = get_args(ScoreName)
EXTENTS = ("global", "local_m", "local_p", "monotonic", "hard", "hard by gumbel")
STRUCTURES = ("one head", "heads", "hierarchical", "hierarchical heads")
TASKS = ("translation", "speech_recognition", "image_captioning", "video_to_text")
STEPS, LEARNING_RATE = 8, 2e-2
EXAMPLES = 24
OTHERS = torch.arange(EXAMPLES).roll(1)  # each sentence with the source of another

# Each value of each axis in each task, and each score with each extent.
COVERING = [
    (TASKS[(number + shift) % 4], score, extent, STRUCTURES[(number + shift // 2) % 4])
    for number, score in enumerate(SCORES)
    for shift, extent in enumerate(EXTENTS)
]


def attention(score: str, extent: str, structure: str) -> AttentionConfig:
    return AttentionConfig(
        score=score,
        locality="global" if extent.startswith("hard") else extent,
        selection="hard" if extent.startswith("hard") else "soft",
        estimator="gumbel" if extent.endswith("gumbel") else "reinforce",
        hierarchy="hierarchical" if structure.startswith("hierarchical") else "flat",
        num_heads=2 if structure.endswith("heads") else 1,
        segment_size=4,
        window_size=3.0,
        hidden_dim=32,
    )


@pytest.fixture(scope="module")
def ready() -> Any:
    """Return a function that makes a task's tiny preset with one of its batches, once for all tests."""
    made: dict[str, tuple[Task, Batch]] = {}

    def make(name: str) -> tuple[Task, Batch]:
        if name not in made:
            config = tasks.package(name).PRESETS["tiny"]()
            if hasattr(config, "num_scenes"):
                config = replace(config, num_scenes=EXAMPLES)
            task = tasks.task_class(name)(config)
            examples = task.load("train").select(range(EXAMPLES))
            task.fit(examples)
            made[name] = task, task.collate(examples, list(range(EXAMPLES)))
        return made[name]

    return make


def check_learns(task: Task, batch: Batch) -> None:
    """Check that a batch is learned, that the source matters, and that the search works afterwards."""
    torch.manual_seed(1)
    model = task.build_model().train()
    unlearned = {name for name, _ in model.named_parameters() if "attention" in name}
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = model(batch).total / batch.num_target_tokens
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


@pytest.mark.parametrize(("score", "extent", "structure"), itertools.product(SCORES, EXTENTS, STRUCTURES))
def test_every_score_extent_and_structure_learns(score, extent, structure, ready):
    task, batch = ready("translation")
    task.config = replace(task.config, attention=attention(score, extent, structure))
    check_learns(task, batch)


# Each locality with each estimator of hard attention, and each of these with several scores.
HARD_AND_LOCAL = [
    (score, locality, estimator)
    for number, (locality, estimator) in enumerate(
        itertools.product(("local_m", "local_p", "monotonic"), ("reinforce", "gumbel"))
    )
    for score in (SCORES[number % len(SCORES)], SCORES[(number + 3) % len(SCORES)])
]


@pytest.mark.parametrize(("score", "locality", "estimator"), HARD_AND_LOCAL)
def test_hard_attention_learns_within_every_locality(score, locality, estimator, ready):
    task, batch = ready("translation")
    config = replace(attention(score, locality, "one head"), selection="hard", estimator=estimator)
    task.config = replace(task.config, attention=config)
    check_learns(task, batch)


@pytest.mark.parametrize(("name", "score", "extent", "structure"), COVERING)
def test_in_every_task(name, score, extent, structure, ready):
    task, batch = ready(name)
    task.config = replace(task.config, attention=attention(score, extent, structure))
    check_learns(task, batch)


ENCODERS = {
    "recurrent": RecurrentEncoderConfig,
    "transformer": TransformerEncoderConfig,
    "convolutional": ConvS2SEncoderConfig,
}
DECODERS = {"recurrent": RecurrentDecoderConfig, "transformer": TransformerDecoderConfig}


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("encoder_kind", ENCODERS)
@pytest.mark.parametrize("decoder_kind", DECODERS)
def test_every_sequence_encoder_goes_with_every_decoder(name, encoder_kind, decoder_kind, ready):
    task, batch = ready(name)
    before = task.config
    hidden_dim = before.encoder.sequence.hidden_dim
    heads = {"num_heads": 2} if encoder_kind == "transformer" else {}
    pooling = "attentive" if decoder_kind == "recurrent" else "default"
    sequence = ENCODERS[encoder_kind](hidden_dim=hidden_dim, pooling=pooling, dropout=0.0, **heads)
    decoder_heads = {"num_heads": 2} if decoder_kind == "transformer" else {}
    task.config = replace(
        before,
        encoder=replace(before.encoder, sequence=sequence),
        attention=AttentionConfig(score="scaled_dot", num_heads=2),
        decoder=DECODERS[decoder_kind](hidden_dim=32, embedding_dim=32, dropout=0.0, **decoder_heads),
    )
    try:
        check_learns(task, batch)
    finally:
        task.config = before


def test_a_learned_summary_that_the_decoder_does_not_read_is_refused(ready):
    task, _ = ready("translation")
    before = task.config
    encoder = replace(before.encoder, sequence=replace(before.encoder.sequence, pooling="attentive"))
    for decoder in (TransformerDecoderConfig(), CTCDecoderConfig(), RecurrentDecoderConfig(init_state="zeros")):
        attention = before.attention if decoder.uses_attention else None
        task.config = replace(before, encoder=encoder, decoder=decoder, attention=attention)
        with pytest.raises(UsageError, match=r"encoder\.pooling is attentive"):
            task.build_model()
    task.config = before
