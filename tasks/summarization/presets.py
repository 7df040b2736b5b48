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
from tasks.summarization.config import SummarizationConfig


def tiny() -> SummarizationConfig:
    """Docstrings of a few small packages in seconds, for tests; the result is poor."""
    return SummarizationConfig(
        packages=(
            "accelerate",
            "fsspec",
            "rich",
            "rouge_score",
            "sacrebleu",
            "safetensors",
            "tokenizers",
            "tqdm",
            "tyro",
        ),
        vocabulary=VocabularyConfig(size=1000),
        encoder=TextEncoderConfig(
            RecurrentEncoderConfig(hidden_dim=32, dropout=0.0), embedding_dim=32, max_source_tokens=60
        ),
        attention=AttentionConfig(score="general"),
        decoder=RecurrentDecoderConfig(hidden_dim=64, embedding_dim=32, dropout=0.0, copy=True),
        batch=BatchConfig(max_sources=32),
        train=TrainConfig(epochs=1, lr=5e-3, average_checkpoints=0),
        search=SearchConfig(max_length=40),
    )


def demo() -> SummarizationConfig:
    """Docstrings of the installed packages: the first line from the rest.

    python run.py summarization train --train.precision bf16
    8.3 minutes on one core with AVX-512 BF16; ROUGE-L 18.43 (README.md).
    """
    return SummarizationConfig(
        vocabulary=VocabularyConfig(size=8000),
        encoder=TextEncoderConfig(
            RecurrentEncoderConfig(hidden_dim=128, dropout=0.2), embedding_dim=192, max_source_tokens=120
        ),
        attention=AttentionConfig(score="general"),
        decoder=RecurrentDecoderConfig(hidden_dim=256, embedding_dim=192, dropout=0.2, copy=True),
        batch=BatchConfig(max_sources=64, max_source_size=8000),
        train=TrainConfig(epochs=4, lr=2e-3, schedule="cosine", warmup_steps=300, average_checkpoints=0),
        search=SearchConfig(max_length=60, no_repeat_ngram=3),
    )


def cnn_dailymail() -> SummarizationConfig:
    """CNN and Daily Mail articles and highlights (Hermann et al. 2015), from the hub or --data FOLDER. Not yet run.

    The pointer-generator with coverage of See et al. 2017, at its sizes; articles are truncated to 400 tokens.
    The hub's data, Parquet, were not tried. FOLDER has train.csv, validation.csv and test.csv with these columns.
    """
    return SummarizationConfig(
        data="abisee/cnn_dailymail:3.0.0",
        source="article",
        target="highlights",
        skip_invalid=True,
        vocabulary=VocabularyConfig(size=32_000),
        encoder=TextEncoderConfig(
            RecurrentEncoderConfig(hidden_dim=256, dropout=0.1), embedding_dim=128, max_source_tokens=400
        ),
        attention=AttentionConfig(score="additive", hidden_dim=512, coverage_weight=1.0),
        decoder=RecurrentDecoderConfig(hidden_dim=256, embedding_dim=128, dropout=0.1, copy=True),
        batch=BatchConfig(
            max_sources=64, max_target_size=8000, max_source_size=32_000, max_source_length=401, max_target_length=120
        ),
        train=TrainConfig(epochs=10, lr=1e-3, schedule="cosine", warmup_steps=2000, average_checkpoints=4),
        search=SearchConfig(max_length=120, min_length=35, beam=4, no_repeat_ngram=3),
    )


def xsum() -> SummarizationConfig:
    """XSum: BBC articles, one-sentence summaries (Narayan et al. 2018), from the hub or --data FOLDER. Not yet run.

    The hub's conversion to Parquet, since the original comes as a program; not tried. FOLDER has train.jsonl,
    validation.jsonl and test.jsonl with these columns.
    """
    return replace(
        cnn_dailymail(),
        data="EdinburghNLP/xsum:default@refs/convert/parquet",
        source="document",
        target="summary",
        search=SearchConfig(max_length=60, beam=5, no_repeat_ngram=3),
    )


def gigaword() -> SummarizationConfig:
    """Gigaword: headlines from the first sentences of articles (Rush et al. 2015); --data FOLDER. Not yet run.

    FOLDER has train.src.txt, train.tgt.txt, dev.src.txt, ...: the archive in data/ of Harvard/gigaword on the hub,
    unpacked. From the hub directly it can't be read, since it comes as a program; not tried.
    """
    return replace(
        cnn_dailymail(),
        data="gigaword",
        source="src.txt",
        target="tgt.txt",
        encoder=TextEncoderConfig(
            RecurrentEncoderConfig(hidden_dim=256, dropout=0.2), embedding_dim=256, max_source_tokens=100
        ),
        decoder=RecurrentDecoderConfig(hidden_dim=512, embedding_dim=256, dropout=0.2, copy=True),
        batch=BatchConfig(max_sources=256, max_target_size=8000, max_source_size=16_000),
        train=TrainConfig(epochs=3, lr=1e-3, schedule="cosine", warmup_steps=4000, eval_steps=5000),
        search=SearchConfig(max_length=40),
    )


def lcsts() -> SummarizationConfig:
    """LCSTS: Chinese short news and headlines (Hu et al. 2015), from the hub or --data FOLDER. Not yet run.

    The hub's data, JSON lines, were not tried. FOLDER has train.jsonl, validation.jsonl and test.jsonl with these
    columns.
    """
    return replace(
        gigaword(),
        data="hugcyp/LCSTS",
        source="text",
        target="summary",
        vocabulary=VocabularyConfig(kind="character", size=8000),
        encoder=TextEncoderConfig(
            RecurrentEncoderConfig(hidden_dim=256, dropout=0.2), embedding_dim=256, max_source_tokens=160
        ),
    )


def small(num_examples: int = NUM_EXAMPLES) -> SummarizationConfig:
    """Your own texts and summaries: --data FOLDER; sizes and length of training by their number."""
    width, dropout = hidden_size(num_examples), dropout_rate(num_examples)
    return SummarizationConfig(
        vocabulary=VocabularyConfig(kind="bpe", size=vocabulary_size(num_examples)),
        encoder=TextEncoderConfig(
            RecurrentEncoderConfig(hidden_dim=width, dropout=dropout), embedding_dim=width, max_source_tokens=200
        ),
        attention=AttentionConfig(score="general"),
        decoder=RecurrentDecoderConfig(hidden_dim=2 * width, embedding_dim=width, dropout=dropout, copy=True),
        batch=BatchConfig(max_sources=batch_size(num_examples)),
        train=train_config(num_examples),
        search=SearchConfig(max_length=60, no_repeat_ngram=3),
    )


PRESETS = {preset.__name__: preset for preset in (tiny, demo, small, cnn_dailymail, xsum, gigaword, lcsts)}
