"""Whole configurations by name. The docstring of one that was run gives its command, time and score."""

from dataclasses import replace

from decoders.search_config import SearchConfig
from tasks.common.config import AttentionConfig, DecoderConfig
from tasks.common.data.tables import BatchConfig
from tasks.common.text.tokenizer import VocabularyConfig
from tasks.common.training.optimization import TrainConfig
from tasks.image_captioning.task import ImageConfig, ImageEncoderConfig


def tiny() -> ImageConfig:
    """The embedded world, drawn, in seconds, for tests: it learns, but not well."""
    return ImageConfig(
        scenes=120,
        vocabulary=VocabularyConfig(kind="word", size=400),
        encoder=ImageEncoderConfig(size=32, channels=(8, 16, 16), hidden=32, dropout=0.0),
        attention=AttentionConfig(score="general", hidden=32),
        decoder=DecoderConfig(hidden=32, embedding=16, dropout=0.0),
        batch=BatchConfig(sentences=16),
        train=TrainConfig(epochs=2, lr=5e-3, average=0),
        search=SearchConfig(beam=2, max_length=30),
    )


def demo() -> ImageConfig:
    """The embedded world, drawn with real handwriting, on a laptop's CPU."""
    return ImageConfig(
        scenes=16_000,
        vocabulary=VocabularyConfig(kind="word", size=400),
        encoder=ImageEncoderConfig(channels=(16, 64, 128), hidden=128, dropout=0.0),
        # Location: at the digit look where the colour was seen, or the network is long in learning what digits are.
        attention=AttentionConfig(score="location", hidden=128),
        decoder=DecoderConfig(hidden=192, embedding=64, tied=False, dropout=0.0),
        batch=BatchConfig(sentences=32),
        train=TrainConfig(epochs=6, lr=3e-3, schedule="cosine", warmup=200, average=0, label_smoothing=0.0),
        search=SearchConfig(max_length=40),
    )


def flickr8k() -> ImageConfig:
    """Flickr8k, 8,000 photographs with five captions each (Hodosh et al. 2013); from the hub, or --data FOLDER.

    python run.py image_captioning train flickr8k --data FOLDER --encoder.pretrained efficientnet-lite0: 27 minutes on
    one core, BLEU-4 18.25 and CIDEr 44.26 on the validation split, at 144 pixels (benchmarks/README.md).
    """
    return ImageConfig(
        data="jxie/flickr8k",
        vocabulary=VocabularyConfig(kind="word", size=5000, min_frequency=4),
        encoder=ImageEncoderConfig(pretrained="timm/tf_efficientnet_lite0.in1k", hidden=512, dropout=0.3),
        attention=AttentionConfig(score="general"),
        decoder=DecoderConfig(hidden=512, embedding=256, gate=True, dropout=0.5),
        batch=BatchConfig(sentences=16, frames=20_000),
        train=TrainConfig(epochs=12, lr=1e-3, schedule="cosine", warmup=300, average=4, patience=0),
        search=SearchConfig(max_length=30),
    )


def flickr30k() -> ImageConfig:
    """Flickr30k, 31,000 photographs (Young et al. 2014); from the hub, or --data FOLDER. Not yet run."""
    return replace(
        flickr8k(),
        data="nlphuji/flickr30k",
        vocabulary=VocabularyConfig(kind="word", size=10_000, min_frequency=4),
        train=TrainConfig(epochs=15, lr=1e-3, schedule="cosine", warmup=1000, average=4, workers=4),
    )


def coco() -> ImageConfig:
    """COCO, 113,000 photographs in Karpathy's split, or as it is published; --data FOLDER. Not yet run."""
    return replace(
        flickr30k(),
        data="coco",
        encoder=ImageEncoderConfig(pretrained="torchvision:resnet101", hidden=512, dropout=0.3),
        attention=AttentionConfig(score="additive", hidden=512, doubly_stochastic=1.0),
        decoder=DecoderConfig(hidden=1024, embedding=512, gate=True, dropout=0.5),
        batch=BatchConfig(sentences=32, frames=20_000),
    )


PRESETS = {preset.__name__: preset for preset in (tiny, demo, flickr8k, flickr30k, coco)}
