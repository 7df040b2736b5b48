"""Whole configurations by name. The docstring of one that was run gives its command, time and score."""

from dataclasses import replace

from decoders.search_config import SearchConfig
from tasks.common.config import AttentionConfig, DecoderConfig
from tasks.common.data.tables import BatchConfig
from tasks.common.text.tokenizer import VocabularyConfig
from tasks.common.text_task import TextEncoderConfig
from tasks.common.training.optimization import TrainConfig
from tasks.summarization.task import SummarizationConfig


def tiny() -> SummarizationConfig:
    """Docstrings of a few small packages in seconds, for tests: it learns, but not well."""
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
        encoder=TextEncoderConfig(hidden=32, embedding=32, dropout=0.0, limit=60),
        attention=AttentionConfig(score="general"),
        decoder=DecoderConfig(hidden=64, embedding=32, dropout=0.0, copy=True),
        batch=BatchConfig(sentences=32),
        train=TrainConfig(epochs=1, lr=5e-3, average=0),
        search=SearchConfig(max_length=40),
    )


def demo() -> SummarizationConfig:
    """Docstrings of the installed packages: their first lines from the rest."""
    return SummarizationConfig(
        vocabulary=VocabularyConfig(size=8000),
        encoder=TextEncoderConfig(hidden=128, embedding=192, dropout=0.2, limit=120),
        attention=AttentionConfig(score="general"),
        decoder=DecoderConfig(hidden=256, embedding=192, dropout=0.2, copy=True),
        batch=BatchConfig(sentences=64, frames=8000),
        train=TrainConfig(epochs=4, lr=2e-3, schedule="cosine", warmup=300, average=0),
        search=SearchConfig(max_length=60, no_repeat_ngram=3),
    )


def cnn_dailymail() -> SummarizationConfig:
    """CNN and Daily Mail articles with their highlights (Hermann et al. 2015), from the hub. Not yet run.

    The pointer-generator with coverage of See et al. 2017, at its sizes: 400 tokens of an article are read.
    """
    return SummarizationConfig(
        data="abisee/cnn_dailymail:3.0.0",
        source="article",
        target="highlights",
        skip_invalid=True,
        vocabulary=VocabularyConfig(size=32_000),
        encoder=TextEncoderConfig(hidden=256, embedding=128, dropout=0.1, limit=400),
        attention=AttentionConfig(score="additive", hidden=512, coverage=1.0),
        decoder=DecoderConfig(hidden=256, embedding=128, dropout=0.1, copy=True),
        batch=BatchConfig(sentences=64, tokens=8000, frames=32_000, max_frames=401, max_length=120),
        train=TrainConfig(epochs=10, lr=1e-3, schedule="cosine", warmup=2000, average=4, workers=2),
        search=SearchConfig(max_length=120, min_length=35, beam=4, no_repeat_ngram=3),
    )


def xsum() -> SummarizationConfig:
    """BBC articles, each with one sentence about it (Narayan et al. 2018), from the hub. Not yet run."""
    return replace(
        cnn_dailymail(),
        data="EdinburghNLP/xsum",
        source="document",
        target="summary",
        search=SearchConfig(max_length=60, beam=5, no_repeat_ngram=3),
    )


def gigaword() -> SummarizationConfig:
    """Headlines of first sentences (Rush et al. 2015), from the hub. Not yet run."""
    return replace(
        cnn_dailymail(),
        data="Harvard/gigaword",
        source="document",
        target="summary",
        encoder=TextEncoderConfig(hidden=256, embedding=256, dropout=0.2, limit=100),
        decoder=DecoderConfig(hidden=512, embedding=256, dropout=0.2, copy=True),
        batch=BatchConfig(sentences=256, tokens=8000, frames=16_000),
        train=TrainConfig(epochs=3, lr=1e-3, schedule="cosine", warmup=4000, evaluate_every=5000, workers=2),
        search=SearchConfig(max_length=40),
    )


def lcsts() -> SummarizationConfig:
    """Chinese news from Weibo with their headlines (Hu et al. 2015), by characters, from the hub. Not yet run."""
    return replace(
        gigaword(),
        data="hugcyp/LCSTS",
        source="text",
        target="summary",
        vocabulary=VocabularyConfig(kind="character", size=8000),
        encoder=TextEncoderConfig(hidden=256, embedding=256, dropout=0.2, limit=160),
    )


PRESETS = {preset.__name__: preset for preset in (tiny, demo, cnn_dailymail, xsum, gigaword, lcsts)}
