"""Configurations by name. The docstring of a preset that was run gives its command, time and score."""

from dataclasses import replace

from attention.config import AttentionConfig
from decoders.config import RecurrentDecoderConfig, SearchConfig
from encoders.config import RecurrentEncoderConfig
from tasks.common.data.config import BatchConfig
from tasks.common.small import NUM_EXAMPLES, batch_size, dropout_rate, hidden_size, train_config, vocabulary_size
from tasks.common.text.config import VocabularyConfig
from tasks.common.text_config import TextEncoderConfig
from tasks.common.training.config import TrainConfig
from tasks.dialogue.config import DialogueConfig


def tiny() -> DialogueConfig:
    """A few conversations in seconds, for tests; the result is poor."""
    return DialogueConfig(
        language="french",
        vocabulary=VocabularyConfig(size=500),
        encoder=TextEncoderConfig(
            RecurrentEncoderConfig(hidden_dim=32, dropout=0.0), embedding_dim=32, max_source_tokens=40
        ),
        attention=AttentionConfig(score="general"),
        decoder=RecurrentDecoderConfig(hidden_dim=64, embedding_dim=32, dropout=0.0),
        batch=BatchConfig(max_sources=16),
        train=TrainConfig(epochs=1, lr=5e-3, average_checkpoints=0),
        search=SearchConfig(max_length=30),
    )


def demo() -> DialogueConfig:
    """The conversations of chatterbot-corpus, in English or --language.

    python run.py dialogue train --train.precision bf16
    0.6 minutes on one core with AVX-512 BF16; perplexity 131.70, BLEU 1.68 (README.md).
    """
    return DialogueConfig(
        vocabulary=VocabularyConfig(size=3000),
        encoder=TextEncoderConfig(
            RecurrentEncoderConfig(hidden_dim=128, dropout=0.3), embedding_dim=128, max_source_tokens=80
        ),
        attention=AttentionConfig(score="general"),
        decoder=RecurrentDecoderConfig(hidden_dim=256, embedding_dim=128, dropout=0.3),
        batch=BatchConfig(max_sources=16, max_target_length=60),
        train=TrainConfig(  # with the patience of the recorded run
            epochs=40, lr=1e-3, schedule="cosine", warmup_steps=200, average_checkpoints=0, early_stopping_patience=6
        ),
        search=SearchConfig(max_length=50, no_repeat_ngram=3),
    )


def daily_dialog() -> DialogueConfig:
    """DailyDialog, 13,000 everyday conversations (Li et al. 2017), from the hub or --data FOLDER. Not yet run.

    A copy in Parquet, since the original comes as a program; not tried. FOLDER has dialogues_train.txt, ..., as
    published.
    """
    return DialogueConfig(
        data="OpenRL/daily_dialog",
        skip_invalid=True,
        vocabulary=VocabularyConfig(size=10_000),
        encoder=TextEncoderConfig(
            RecurrentEncoderConfig(hidden_dim=256, dropout=0.3), embedding_dim=256, max_source_tokens=120
        ),
        attention=AttentionConfig(score="general"),
        decoder=RecurrentDecoderConfig(hidden_dim=512, embedding_dim=256, dropout=0.3),
        batch=BatchConfig(max_sources=128, max_target_size=8000, max_source_size=16_000),
        train=TrainConfig(epochs=12, lr=1e-3, schedule="cosine", warmup_steps=1000, average_checkpoints=0),
        search=SearchConfig(max_length=60, beam=10, no_repeat_ngram=3),
    )


def cornell() -> DialogueConfig:
    """Cornell Movie-Dialogs (Danescu-Niculescu-Mizil & Lee 2011): --data FOLDER with its files. Not yet run."""
    return replace(daily_dialog(), data="cornell movie-dialogs corpus", vocabulary=VocabularyConfig(size=16_000))


def small(num_examples: int = NUM_EXAMPLES) -> DialogueConfig:
    """Your own conversations: --data FOLDER; sizes and length of training by the number of replies."""
    width, dropout = hidden_size(num_examples), dropout_rate(num_examples)
    return DialogueConfig(
        vocabulary=VocabularyConfig(kind="bpe", size=vocabulary_size(num_examples)),
        encoder=TextEncoderConfig(
            RecurrentEncoderConfig(hidden_dim=width, dropout=dropout), embedding_dim=width, max_source_tokens=120
        ),
        attention=AttentionConfig(score="general"),
        decoder=RecurrentDecoderConfig(hidden_dim=2 * width, embedding_dim=width, dropout=dropout),
        batch=BatchConfig(max_sources=batch_size(num_examples)),
        train=train_config(num_examples),
        search=SearchConfig(max_length=60, no_repeat_ngram=3),
    )


PRESETS = {preset.__name__: preset for preset in (tiny, demo, small, daily_dialog, cornell)}
