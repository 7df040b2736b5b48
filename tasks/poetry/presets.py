"""Whole configurations by name. The docstring of one that was run gives its command, time and score."""

from dataclasses import replace

from decoders.config import RecurrentDecoderConfig, SearchConfig
from encoders.config import RecurrentEncoderConfig
from tasks.common.config import AttentionConfig, DecoderConfig
from tasks.common.data.batching import BatchConfig
from tasks.common.text.tokenizer import VocabularyConfig
from tasks.common.text_task import TextEncoderConfig
from tasks.common.training.optimization import TrainConfig
from tasks.poetry.task import PoetryConfig

DRAWN = SearchConfig(sample=True, temperature=0.8, top_p=0.95, form="rhyme")  # the most probable verse is dull


def tiny() -> PoetryConfig:
    """Set phrases in seconds, for tests: it learns, but not well."""
    return PoetryConfig(
        vocabulary=VocabularyConfig(kind="character", size=5000),
        encoder=TextEncoderConfig(RecurrentEncoderConfig(hidden_dim=16, dropout=0.0), embedding_dim=16),
        attention=AttentionConfig(score="general"),
        decoder=RecurrentDecoderConfig(hidden_dim=32, embedding_dim=16, dropout=0.0),
        batch=BatchConfig(max_sources=512),
        train=TrainConfig(epochs=1, lr=1e-2, average_checkpoints=0),
        search=DRAWN,
    )


def demo() -> PoetryConfig:
    """Set phrases of four characters, which come with pypinyin: the second half from the first."""
    return PoetryConfig(
        vocabulary=VocabularyConfig(kind="character", size=5000),
        encoder=TextEncoderConfig(RecurrentEncoderConfig(hidden_dim=64, dropout=0.3), embedding_dim=128),
        attention=AttentionConfig(score="general"),
        decoder=RecurrentDecoderConfig(hidden_dim=128, embedding_dim=128, dropout=0.3),
        batch=BatchConfig(max_sources=128),
        train=TrainConfig(epochs=10, lr=2e-3, schedule="cosine", warmup_steps=200, average_checkpoints=0),
        search=DRAWN,
    )


def tang() -> PoetryConfig:
    """Tang quatrains, the next line from those so far: --data FOLDER with title, author and lines."""
    return PoetryConfig(
        data="tang_quatrains",
        skip_invalid=True,
        vocabulary=VocabularyConfig(kind="character", size=6000),
        encoder=TextEncoderConfig(RecurrentEncoderConfig(hidden_dim=128, dropout=0.2), embedding_dim=128),
        attention=AttentionConfig(score="general"),
        decoder=RecurrentDecoderConfig(hidden_dim=256, embedding_dim=128, dropout=0.2),
        batch=BatchConfig(max_sources=128),
        train=TrainConfig(epochs=5, lr=2e-3, schedule="cosine", warmup_steps=300, average_checkpoints=0),
        search=DRAWN,
    )


def tang_poem() -> PoetryConfig:
    """The same poems as a whole, from their first line (or, with --prompt-kind title, from their title)."""
    return replace(
        tang(),
        given="first",
        train=TrainConfig(epochs=10, lr=2e-3, schedule="cosine", warmup_steps=200, average_checkpoints=0),
    )


PRESETS = {preset.__name__: preset for preset in (tiny, demo, tang, tang_poem)}
