"""Complete configurations by name. The docstring of one that was run gives its command, time and metrics."""

from dataclasses import replace

from attention.config import AttentionConfig
from decoders.config import RecurrentDecoderConfig, SearchConfig
from encoders.config import RecurrentEncoderConfig
from tasks.common.data.config import BatchConfig
from tasks.common.small import NUM_EXAMPLES, batch_size, dropout_rate, hidden_size, train_config
from tasks.common.text.config import VocabularyConfig
from tasks.common.training.config import TrainConfig
from tasks.speech_recognition.config import FeatureConfig, SpeechAugmentConfig, SpeechConfig, SpeechEncoderConfig


def tiny() -> SpeechConfig:
    """The toy world as speech, in seconds, for tests: it learns, but not well."""
    return SpeechConfig(
        num_scenes=120,
        vocabulary=VocabularyConfig(kind="word", size=400),
        features=FeatureConfig(num_mels=20),
        encoder=SpeechEncoderConfig(RecurrentEncoderConfig(hidden_dim=16, num_layers=1, dropout=0.0), channels=4),
        attention=AttentionConfig(score="general", hidden_dim=32),
        decoder=RecurrentDecoderConfig(hidden_dim=32, embedding_dim=16, dropout=0.0, ctc_weight=0.3),
        batch=BatchConfig(max_sources=16, max_source_size=20_000, max_source_length=1500),
        train=TrainConfig(epochs=2, lr=5e-3, average_checkpoints=0),
        search=SearchConfig(beam=2, max_length=30),
    )


def demo() -> SpeechConfig:
    """The toy world, spoken by espeak-ng in many voices, on a laptop's CPU; 1.4 minutes on a core, 0.85 % WER."""
    return SpeechConfig(
        vocabulary=VocabularyConfig(kind="word", size=400),
        features=FeatureConfig(num_mels=40),
        # Masks, which are never the same twice, would take more epochs to learn from.
        augment=SpeechAugmentConfig(num_frequency_masks=0, num_time_masks=0),
        encoder=SpeechEncoderConfig(
            RecurrentEncoderConfig(hidden_dim=128, num_layers=2, dropout=0.1), channels=16, pyramid_layers=1
        ),
        attention=AttentionConfig(score="location", hidden_dim=128),
        decoder=RecurrentDecoderConfig(hidden_dim=128, embedding_dim=64, dropout=0.1, ctc_weight=0.3),
        batch=BatchConfig(max_sources=32, max_source_size=16_000, max_source_length=1500),
        train=TrainConfig(
            epochs=5, lr=3e-3, schedule="cosine", warmup_steps=100, average_checkpoints=0, precision="auto"
        ),
        search=SearchConfig(max_length=40),
    )


def grid() -> SpeechConfig:
    """GRID, one speaker's commands of six words, 800 of them (Cooke et al. 2006); --data FOLDER, also of its videos.

    Characters are learned faster than words here, some of which occur only thirty times. By --decoder.kind: recurrent
    has 0.67 % word errors on validation with beam 5, transducer 0.83; see benchmarks/README.md.
    """
    return SpeechConfig(
        data="grid",
        vocabulary=VocabularyConfig(kind="character", size=100),
        features=FeatureConfig(num_mels=40),
        augment=SpeechAugmentConfig(speeds=(0.9, 1.0, 1.1)),
        encoder=SpeechEncoderConfig(RecurrentEncoderConfig(hidden_dim=192, num_layers=2, dropout=0.3), channels=16),
        attention=AttentionConfig(score="location", hidden_dim=160),
        decoder=RecurrentDecoderConfig(hidden_dim=256, embedding_dim=64, dropout=0.3, ctc_weight=0.3),
        batch=BatchConfig(max_sources=16, max_source_size=16_000, max_source_length=1500),
        train=TrainConfig(epochs=90, lr=2e-3, schedule="cosine", warmup_steps=200, average_checkpoints=4),
        search=SearchConfig(max_length=60),
    )


def an4() -> SpeechConfig:
    """CMU AN4, an hour of spelled names and numbers; from the hub, or --data FOLDER of sound or .npy features.

    No convolutions and no frequency masks, since adjacent cepstral coefficients are not adjacent frequencies.
    On MFCC 11.34 % word and 6.68 % character errors on validation with beam 5, 61 minutes; see benchmarks/README.md.
    The hub's espnet/an4 was not tried.
    """
    return replace(
        grid(),
        data="espnet/an4",
        features=FeatureConfig(num_mels=40, normalization="global", deltas=2),
        augment=SpeechAugmentConfig(stretch=0.15, num_frequency_masks=0, num_time_masks=3, time_width=0.05),
        encoder=SpeechEncoderConfig(
            RecurrentEncoderConfig(hidden_dim=256, num_layers=4, dropout=0.3), num_conv_layers=0, pyramid_layers=2
        ),
        attention=AttentionConfig(score="location", hidden_dim=128),
        decoder=RecurrentDecoderConfig(hidden_dim=256, embedding_dim=64, dropout=0.3, ctc_weight=0.5),
        batch=BatchConfig(max_sources=8, max_source_size=8_000, max_source_length=1500),
        train=TrainConfig(epochs=60, lr=1.5e-3, schedule="cosine", warmup_steps=300, average_checkpoints=5),
        search=SearchConfig(max_length=100),
    )


def kerstin() -> SpeechConfig:
    """German read speech of one voice, 1.6 hours; --data FOLDER."""
    return replace(
        grid(),
        data="kerstin_de",
        vocabulary=VocabularyConfig(kind="character", size=100),
        features=FeatureConfig(num_mels=80),
        augment=SpeechAugmentConfig(stretch=0.1),
        encoder=SpeechEncoderConfig(RecurrentEncoderConfig(hidden_dim=256, num_layers=3, dropout=0.3), channels=32),
        attention=AttentionConfig(score="location", hidden_dim=256),
        decoder=RecurrentDecoderConfig(hidden_dim=320, embedding_dim=64, dropout=0.3, ctc_weight=0.5),
        batch=BatchConfig(max_sources=16, max_source_size=16_000, max_source_length=1500),
        train=TrainConfig(epochs=60, lr=2e-3, schedule="cosine", warmup_steps=300, average_checkpoints=4),
        search=SearchConfig(max_length=200),
    )


def kerstin_whisper() -> SpeechConfig:
    """The kerstin preset with Whisper's English encoder, which is fine-tuned: --encoder.pretrained FOLDER.

    With --train.precision bf16 51.30 % word and 12.32 % character errors on validation with beam 5, after 23 of its 30
    epochs; see benchmarks/README.md.
    """
    return replace(
        kerstin(),
        augment=SpeechAugmentConfig(speeds=(0.9, 1.0, 1.1)),
        encoder=SpeechEncoderConfig(
            RecurrentEncoderConfig(hidden_dim=256, num_layers=2, dropout=0.3),
            pretrained="openai/whisper-tiny.en",
            pyramid_layers=1,
        ),
        decoder=replace(kerstin().decoder, dropout=0.4),
        train=TrainConfig(
            epochs=30,
            lr=1e-3,
            encoder_lr=1e-4,
            unfreeze_at=73,
            schedule="cosine",
            warmup_steps=100,
            average_checkpoints=4,
        ),
    )


def librispeech100() -> SpeechConfig:
    """LibriSpeech, 100 hours of read English (Panayotov et al. 2015); from the hub, or --data FOLDER. Not yet run.

    The hub's data, Parquet, were not tried. FOLDER has train-clean-100, dev-clean and test-clean as published.
    """
    return SpeechConfig(
        data="openslr/librispeech_asr:clean",
        vocabulary=VocabularyConfig(kind="bpe", size=1000),
        augment=SpeechAugmentConfig(speeds=(0.9, 1.0, 1.1)),
        encoder=SpeechEncoderConfig(
            RecurrentEncoderConfig(hidden_dim=512, num_layers=4, dropout=0.2), channels=32, pyramid_layers=1
        ),
        attention=AttentionConfig(score="location", hidden_dim=512),
        decoder=RecurrentDecoderConfig(hidden_dim=768, embedding_dim=256, dropout=0.2, ctc_weight=0.3),
        batch=BatchConfig(max_sources=64, max_source_size=60_000, max_target_length=400, max_source_length=1700),
        train=TrainConfig(epochs=40, lr=1e-3, schedule="cosine", warmup_steps=2000, average_checkpoints=5),
        search=SearchConfig(beam=8, max_length=300),
    )


def common_voice() -> SpeechConfig:
    """Common Voice, sentences read by volunteers (Ardila et al. 2020); from the hub, or --data FOLDER. Not yet run.

    A copy in Parquet, since Mozilla's own repository on the hub is empty; not tried. Another language:
    --data fixie-ai/common_voice_17_0:de. FOLDER has train.tsv, dev.tsv, test.tsv and clips, as Mozilla publishes each
    language. Broken clips are skipped.
    """
    return replace(librispeech100(), data="fixie-ai/common_voice_17_0:en", skip_invalid=True)


def small(num_examples: int = NUM_EXAMPLES) -> SpeechConfig:
    """Your own recordings, dozens to thousands: --data FOLDER; sizes and length of training by their number.

    Guided attention and CTC find the alignment within a minute. Masks would take longer to learn from.
    """
    width, dropout = hidden_size(num_examples), min(0.3, dropout_rate(num_examples))
    return SpeechConfig(
        vocabulary=VocabularyConfig(kind="character", size=200),
        features=FeatureConfig(num_mels=40),
        augment=SpeechAugmentConfig(stretch=0.1, num_frequency_masks=0, num_time_masks=0),
        encoder=SpeechEncoderConfig(
            RecurrentEncoderConfig(hidden_dim=width, num_layers=2, dropout=dropout), channels=16, pyramid_layers=1
        ),
        attention=AttentionConfig(score="general", guidance_weight=1.0),
        decoder=RecurrentDecoderConfig(hidden_dim=width, embedding_dim=64, dropout=dropout, ctc_weight=0.5),
        batch=BatchConfig(max_sources=batch_size(num_examples, 8, 16), max_source_size=16_000, max_source_length=3000),
        train=train_config(num_examples),
        search=SearchConfig(max_length=200),
    )


PRESETS = {
    preset.__name__: preset
    for preset in (tiny, demo, small, grid, an4, kerstin, kerstin_whisper, librispeech100, common_voice)
}
