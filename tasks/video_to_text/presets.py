"""Complete configurations by name. The docstring of one that was run gives its command, time and metrics."""

from dataclasses import replace

from attention.config import AttentionConfig
from decoders.config import RecurrentDecoderConfig, S2VTDecoderConfig, SearchConfig
from encoders.config import NoSequenceEncoderConfig, RecurrentEncoderConfig
from tasks.common.data.config import BatchConfig
from tasks.common.small import NUM_EXAMPLES, batch_size, dropout_rate, hidden_size, train_config, vocabulary_size
from tasks.common.text.config import VocabularyConfig
from tasks.common.training.config import TrainConfig
from tasks.video_to_text.config import FrameConfig, VideoAugmentConfig, VideoConfig, VideoEncoderConfig


def tiny() -> VideoConfig:
    """The toy world as videos, in seconds, for tests: it learns, but not well."""
    return VideoConfig(
        num_scenes=80,
        vocabulary=VocabularyConfig(kind="word", size=400),
        frames=FrameConfig(num_frames=8),
        encoder=VideoEncoderConfig(
            RecurrentEncoderConfig(hidden_dim=32, dropout=0.0), size=(32,), channels=(8, 16, 16)
        ),
        attention=AttentionConfig(score="general", hidden_dim=32),
        decoder=RecurrentDecoderConfig(hidden_dim=32, embedding_dim=16, dropout=0.0),
        batch=BatchConfig(max_sources=16),
        train=TrainConfig(epochs=2, lr=5e-3, average_checkpoints=0),
        search=SearchConfig(beam=2, max_length=30),
    )


def demo() -> VideoConfig:
    """The toy world as videos, on a laptop's CPU."""
    return VideoConfig(
        num_scenes=16_000,
        vocabulary=VocabularyConfig(kind="word", size=400),
        frames=FrameConfig(num_frames=8),
        encoder=VideoEncoderConfig(
            NoSequenceEncoderConfig(hidden_dim=128, dropout=0.0),
            frontend="two_stream",
            channels=(16, 64, 128),
            frame_aggregation="regions",
        ),
        attention=AttentionConfig(score="location", hidden_dim=128),
        decoder=RecurrentDecoderConfig(hidden_dim=192, embedding_dim=64, tie_embeddings=False, dropout=0.0),
        batch=BatchConfig(max_sources=32),
        train=TrainConfig(
            epochs=4,
            lr=3e-3,
            schedule="cosine",
            warmup_steps=200,
            average_checkpoints=0,
            label_smoothing=0.0,
            precision="auto",
        ),
        search=SearchConfig(max_length=40),
    )


def msrvtt() -> VideoConfig:
    """MSR-VTT, 10,000 clips with twenty sentences each (Xu et al. 2016): temporal attention; --data FOLDER.

    A third of it with --encoder.pretrained efficientnet-lite0 and --train.precision bf16, 16 minutes on one core:
    BLEU-4 31.33, METEOR 24.97 and CIDEr 35.34 on the validation split (benchmarks/README.md).
    """
    return VideoConfig(
        data="msrvtt",
        vocabulary=VocabularyConfig(kind="word", size=10_000, min_frequency=5),
        frames=FrameConfig(num_frames=24),
        encoder=VideoEncoderConfig(
            RecurrentEncoderConfig(hidden_dim=384, dropout=0.1), pretrained="timm/tf_efficientnet_lite0.in1k"
        ),
        attention=AttentionConfig(score="general", num_heads=4),
        decoder=RecurrentDecoderConfig(hidden_dim=512, embedding_dim=300, dropout=0.1),
        batch=BatchConfig(max_sources=32, targets_per_source=2, max_source_size=4096),
        train=TrainConfig(
            epochs=40,
            lr=8e-4,
            schedule="cosine",
            warmup_steps=200,
            average_checkpoints=4,
            label_smoothing=0.0,
        ),
        search=SearchConfig(max_length=30),
    )


def msrvtt_mean() -> VideoConfig:
    """MSR-VTT with the mean of all frames instead of attention (Venugopalan et al. 2015a)."""
    config = msrvtt()
    return replace(
        config,
        encoder=replace(
            config.encoder,
            sequence=NoSequenceEncoderConfig(hidden_dim=384, dropout=0.1),
            frame_aggregation="mean",
        ),
        attention=AttentionConfig(score="none"),
    )


def msrvtt_s2vt() -> VideoConfig:
    """MSR-VTT with S2VT, one stack of LSTMs as encoder and decoder (Venugopalan et al. 2015b)."""
    config = msrvtt()
    return replace(
        config,
        encoder=replace(config.encoder, sequence=NoSequenceEncoderConfig(hidden_dim=384, dropout=0.1)),
        attention=None,
        decoder=S2VTDecoderConfig(hidden_dim=512, embedding_dim=300, dropout=0.1),
    )


def msvd() -> VideoConfig:
    """MSVD, 1,970 clips with some forty sentences each (Chen & Dolan 2011); --data FOLDER. Not yet run."""
    return replace(msrvtt(), data="msvd", vocabulary=VocabularyConfig(kind="word", size=10_000, min_frequency=2))


def grid() -> VideoConfig:
    """GRID: lip reading of one speaker's commands (Cooke et al. 2006), from the mouth alone; --data FOLDER.

    python run.py video_to_text train grid --data FOLDER --train.precision bf16: 32.50 % word errors and 19.12 %
    character errors on the validation split; 28 minutes on one core (benchmarks/README.md).
    """
    return VideoConfig(
        data="grid",
        metric_set="words",
        vocabulary=VocabularyConfig(kind="character", size=100),
        frames=FrameConfig(num_frames=0, crop=(118, 158, 76, 136), cache_frames=True),
        augment=VideoAugmentConfig(crop=0.12, flip=True, color=0.15, stutter=0.04),
        encoder=VideoEncoderConfig(
            RecurrentEncoderConfig(hidden_dim=256, num_layers=2, dropout=0.3),
            size=(32, 48),
            frontend="spatiotemporal",
            channels=(24, 32, 64),
        ),
        attention=AttentionConfig(score="location", hidden_dim=128, guidance_weight=1.0),
        decoder=RecurrentDecoderConfig(hidden_dim=256, embedding_dim=64, dropout=0.3, ctc_weight=0.3),
        batch=BatchConfig(max_sources=8, max_source_length=400),
        train=TrainConfig(epochs=45, lr=1e-3, schedule="cosine", warmup_steps=300, average_checkpoints=4),
        search=SearchConfig(max_length=60),
    )


def small(num_examples: int = NUM_EXAMPLES) -> VideoConfig:
    """Your own clips, dozens to thousands: --data FOLDER; sizes and length of training by their number.

    A network from scratch says little about a few hundred clips: --encoder.pretrained, where there is one.
    """
    width, dropout = hidden_size(num_examples), dropout_rate(num_examples)
    return VideoConfig(
        vocabulary=VocabularyConfig(kind="word", size=vocabulary_size(num_examples)),
        augment=VideoAugmentConfig(crop=0.1, color=0.2),
        encoder=VideoEncoderConfig(RecurrentEncoderConfig(hidden_dim=width, dropout=dropout), channels=(16, 32, 64)),
        attention=AttentionConfig(score="general"),
        decoder=RecurrentDecoderConfig(hidden_dim=2 * width, embedding_dim=width, dropout=dropout),
        batch=BatchConfig(max_sources=batch_size(num_examples, largest=16), targets_per_source=4),
        train=train_config(num_examples),
        search=SearchConfig(max_length=30),
    )


PRESETS = {preset.__name__: preset for preset in (tiny, demo, small, msrvtt, msrvtt_mean, msrvtt_s2vt, msvd, grid)}
