"""Configurations by name. The docstring of a preset that was run gives its command, time and score."""

from dataclasses import replace

from attention.config import AttentionConfig
from decoders.config import RecurrentDecoderConfig, TransformerDecoderConfig
from encoders.config import ConvS2SEncoderConfig, RecurrentEncoderConfig, TransformerEncoderConfig
from tasks.common.data.config import BatchConfig
from tasks.common.small import NUM_EXAMPLES, batch_size, dropout_rate, hidden_size, train_config, vocabulary_size
from tasks.common.text.config import VocabularyConfig
from tasks.common.text_config import TextEncoderConfig
from tasks.common.training.config import TrainConfig
from tasks.translation.config import TranslationConfig


def tiny() -> TranslationConfig:
    """The toy world in seconds, for tests; the result is poor."""
    return TranslationConfig(
        vocabulary=VocabularyConfig(kind="word", size=400, shared=False),
        encoder=TextEncoderConfig(RecurrentEncoderConfig(hidden_dim=32, dropout=0.0), embedding_dim=32),
        attention=AttentionConfig(score="general", hidden_dim=64),
        decoder=RecurrentDecoderConfig(hidden_dim=64, embedding_dim=32, dropout=0.0),
        batch=BatchConfig(max_sources=64),
        train=TrainConfig(epochs=2, lr=5e-3, average_checkpoints=0),
    )


def demo() -> TranslationConfig:
    """The toy world, German to English, on the CPU of a laptop; half a minute, 100.00 BLEU."""
    return TranslationConfig(
        vocabulary=VocabularyConfig(kind="word", size=400, shared=False),
        encoder=TextEncoderConfig(RecurrentEncoderConfig(hidden_dim=64, dropout=0.1), embedding_dim=64),
        attention=AttentionConfig(score="additive", hidden_dim=128),
        decoder=RecurrentDecoderConfig(hidden_dim=128, embedding_dim=64, dropout=0.1),
        batch=BatchConfig(max_sources=64),
        train=TrainConfig(epochs=4, lr=3e-3, average_checkpoints=0),
    )


def multi30k() -> TranslationConfig:
    """Multi30k, English to German (Elliott et al. 2016): 29,000 captions, from the hub or --data FOLDER.

    python run.py translation train multi30k --data FOLDER --train.precision bf16
    25 minutes on one core with AVX-512 BF16; test 2016, beam 5: 38.52 BLEU, 38.94 lower-cased (benchmarks/README.md).
    FOLDER has train.en, train.de, val.en, ...; the hub's bentrevett/multi30k, JSON lines, was not tried.
    """
    return TranslationConfig(
        data="bentrevett/multi30k",
        source="en",
        target="de",
        vocabulary=VocabularyConfig(kind="bpe", size=6000),
        encoder=TextEncoderConfig(RecurrentEncoderConfig(hidden_dim=256, dropout=0.35), embedding_dim=256),
        attention=AttentionConfig(score="general", num_heads=4),
        decoder=RecurrentDecoderConfig(hidden_dim=512, embedding_dim=256, dropout=0.35),
        batch=BatchConfig(max_sources=80),
        train=TrainConfig(epochs=15, lr=2e-3, schedule="cosine", warmup_steps=400, average_checkpoints=4),
    )


def multi30k_transformer() -> TranslationConfig:
    """Multi30k with a Transformer (Vaswani et al. 2017).

    python run.py translation train multi30k_transformer --data FOLDER
    99 minutes on a shared core; test 2016, beam 5: 35.34 BLEU, 35.63 lower-cased (benchmarks/README.md).
    """
    return replace(
        multi30k(),
        encoder=TextEncoderConfig(
            TransformerEncoderConfig(hidden_dim=256, num_layers=3, dropout=0.2), embedding_dim=256
        ),
        attention=AttentionConfig(score="scaled_dot", num_heads=4),
        decoder=TransformerDecoderConfig(hidden_dim=256, num_layers=3, embedding_dim=256, dropout=0.2),
        train=TrainConfig(epochs=10, lr=1e-3, schedule="cosine", warmup_steps=800, average_checkpoints=4),
    )


def multi30k_convolutional() -> TranslationConfig:
    """Multi30k with a convolutional encoder (Gehring et al. 2017). Not yet run."""
    return replace(
        multi30k(),
        encoder=TextEncoderConfig(ConvS2SEncoderConfig(hidden_dim=512, num_layers=4, dropout=0.35), embedding_dim=256),
    )


def iwslt14() -> TranslationConfig:
    """IWSLT 2014, German to English, 160,000 pairs (Cettolo et al. 2014); from the hub or --data FOLDER. Not yet run.

    The hub's conversion to Parquet, since the original comes as a program; not tried. FOLDER has train.de, train.en,
    valid.de, ..., as fairseq's prepare-iwslt14.sh writes them.
    """
    return replace(
        multi30k(),
        data="bbaaaa/iwslt14-de-en:de-en@refs/convert/parquet",
        source="de",
        target="en",
        vocabulary=VocabularyConfig(size=10_000),
        batch=BatchConfig(
            max_sources=256, max_target_size=6000, max_source_size=6000, max_target_length=128, max_source_length=128
        ),
        train=TrainConfig(epochs=25, schedule="cosine", warmup_steps=2000),
    )


def opus100() -> TranslationConfig:
    """OPUS-100, German to English: a million pairs (Zhang et al. 2020), from the hub or --data FOLDER. Not yet run.

    Some of its rows have an empty side; they are skipped. For another pair of languages give its configuration:
    --data Helsinki-NLP/opus-100:cs-en --source cs. The hub's data, Parquet, were not tried. FOLDER has train.de,
    train.en, dev.de, ...
    """
    return replace(
        iwslt14(),
        data="Helsinki-NLP/opus-100:de-en",
        skip_invalid=True,
        vocabulary=VocabularyConfig(size=32_000),
        encoder=TextEncoderConfig(RecurrentEncoderConfig(hidden_dim=512, num_layers=2, dropout=0.1), embedding_dim=512),
        decoder=RecurrentDecoderConfig(hidden_dim=1024, embedding_dim=512, num_layers=2, dropout=0.1),
        train=TrainConfig(epochs=5, schedule="cosine", warmup_steps=4000, eval_steps=5000),
    )


def small(num_examples: int = NUM_EXAMPLES) -> TranslationConfig:
    """Your own sentence pairs, hundreds to thousands: --data FOLDER; sizes and length of training by their number."""
    width, dropout = hidden_size(num_examples), dropout_rate(num_examples)
    return TranslationConfig(
        vocabulary=VocabularyConfig(kind="bpe", size=vocabulary_size(num_examples)),
        encoder=TextEncoderConfig(RecurrentEncoderConfig(hidden_dim=width, dropout=dropout), embedding_dim=width),
        attention=AttentionConfig(score="general"),
        decoder=RecurrentDecoderConfig(hidden_dim=2 * width, embedding_dim=width, dropout=dropout),
        batch=BatchConfig(max_sources=batch_size(num_examples)),
        train=train_config(num_examples),
    )


PRESETS = {
    preset.__name__: preset
    for preset in (tiny, demo, small, multi30k, multi30k_transformer, multi30k_convolutional, iwslt14, opus100)
}
