"""Configurations by name. The docstring of a preset that was run gives its command, time and score."""

from dataclasses import replace

from attention.config import AttentionConfig
from decoders.config import RecurrentDecoderConfig
from encoders.config import RecurrentEncoderConfig
from tasks.common.data.config import BatchConfig
from tasks.common.small import NUM_EXAMPLES, batch_size, dropout_rate, hidden_size, train_config
from tasks.common.text.config import VocabularyConfig
from tasks.common.text_config import TextEncoderConfig
from tasks.common.training.config import TrainConfig
from tasks.poetry.config import PoetryConfig, PoetrySearchConfig

# Sampling, since the most probable verse is dull.
SAMPLING = PoetrySearchConfig(sample=True, temperature=0.8, top_p=0.95, form="rhyme")


def tiny() -> PoetryConfig:
    """Idioms (chengyu) in seconds, for tests; the result is poor."""
    return PoetryConfig(
        vocabulary=VocabularyConfig(kind="character", size=5000),
        encoder=TextEncoderConfig(RecurrentEncoderConfig(hidden_dim=16, dropout=0.0), embedding_dim=16),
        attention=AttentionConfig(score="general"),
        decoder=RecurrentDecoderConfig(hidden_dim=32, embedding_dim=16, dropout=0.0),
        batch=BatchConfig(max_sources=512),
        train=TrainConfig(epochs=1, lr=1e-2, average_checkpoints=0),
        search=SAMPLING,
    )


def demo() -> PoetryConfig:
    """The idioms (chengyu) of pypinyin: the last two characters from the first two."""
    return PoetryConfig(
        vocabulary=VocabularyConfig(kind="character", size=5000),
        encoder=TextEncoderConfig(RecurrentEncoderConfig(hidden_dim=64, dropout=0.3), embedding_dim=128),
        attention=AttentionConfig(score="general"),
        decoder=RecurrentDecoderConfig(hidden_dim=128, embedding_dim=128, dropout=0.3),
        batch=BatchConfig(max_sources=128),
        train=TrainConfig(epochs=10, lr=2e-3, schedule="cosine", warmup_steps=200, average_checkpoints=0),
        search=SAMPLING,
    )


def tang() -> PoetryConfig:
    """Tang quatrains, the next line from the lines so far: --data FOLDER with title, author and lines.

    python run.py poetry train tang --data FOLDER --train.precision bf16
    4 minutes on one core with AVX-512 BF16; validation: perplexity 120.28, tones 67.73 % (README.md).
    """
    return PoetryConfig(
        data="tang_quatrains",
        skip_invalid=True,
        vocabulary=VocabularyConfig(kind="character", size=6000),
        encoder=TextEncoderConfig(RecurrentEncoderConfig(hidden_dim=128, dropout=0.2), embedding_dim=128),
        attention=AttentionConfig(score="general"),
        decoder=RecurrentDecoderConfig(hidden_dim=256, embedding_dim=128, dropout=0.2),
        batch=BatchConfig(max_sources=128),
        train=TrainConfig(epochs=5, lr=2e-3, schedule="cosine", warmup_steps=300, average_checkpoints=0),
        search=SAMPLING,
    )


def tang_poem() -> PoetryConfig:
    """Whole Tang quatrains from their first line or, with --prompt-kind title, from their title.

    python run.py poetry train tang_poem --data FOLDER --train.epochs 4
    Validation: perplexity 290.06 (README.md). Its 10 epochs are not yet run.
    """
    return replace(
        tang(),
        prompt_kind="first",
        train=TrainConfig(epochs=10, lr=2e-3, schedule="cosine", warmup_steps=200, average_checkpoints=0),
    )


def small(num_examples: int = NUM_EXAMPLES) -> PoetryConfig:
    """Your own poems: --data FOLDER; sizes and length of training by the number of lines."""
    width, dropout = hidden_size(num_examples), dropout_rate(num_examples)
    return PoetryConfig(
        vocabulary=VocabularyConfig(kind="character", size=6000),
        encoder=TextEncoderConfig(RecurrentEncoderConfig(hidden_dim=width, dropout=dropout), embedding_dim=width),
        attention=AttentionConfig(score="general"),
        decoder=RecurrentDecoderConfig(hidden_dim=2 * width, embedding_dim=width, dropout=dropout),
        batch=BatchConfig(max_sources=batch_size(num_examples)),
        train=train_config(num_examples),
        search=SAMPLING,
    )


PRESETS = {preset.__name__: preset for preset in (tiny, demo, small, tang, tang_poem)}
