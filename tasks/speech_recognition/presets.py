"""Whole configurations by name. The docstring of one that was run gives its command, time and score."""

from dataclasses import replace

from decoders.search_config import SearchConfig
from tasks.common.config import AttentionConfig, DecoderConfig
from tasks.common.data.tables import BatchConfig
from tasks.common.text.tokenizer import VocabularyConfig
from tasks.common.training.optimization import TrainConfig
from tasks.speech_recognition.features import AugmentConfig, FeatureConfig
from tasks.speech_recognition.task import SpeechConfig, SpeechEncoderConfig


def tiny() -> SpeechConfig:
    """The embedded world, spoken, in seconds, for tests: it learns, but not well."""
    return SpeechConfig(
        scenes=120,
        vocabulary=VocabularyConfig(kind="word", size=400),
        features=FeatureConfig(mels=20),
        encoder=SpeechEncoderConfig(channels=4, hidden=16, layers=1, dropout=0.0),
        attention=AttentionConfig(score="general", hidden=32),
        decoder=DecoderConfig(hidden=32, embedding=16, dropout=0.0, ctc=0.3),
        batch=BatchConfig(sentences=16, frames=20_000, max_frames=1500),
        train=TrainConfig(epochs=2, lr=5e-3, average=0),
        search=SearchConfig(beam=2, max_length=30),
    )


def demo() -> SpeechConfig:
    """The embedded world, spoken by espeak-ng in many voices, on a laptop's CPU."""
    return SpeechConfig(
        vocabulary=VocabularyConfig(kind="word", size=400),
        features=FeatureConfig(mels=40),
        encoder=SpeechEncoderConfig(channels=16, hidden=128, layers=2, pyramid=1, dropout=0.1),
        attention=AttentionConfig(score="location", hidden=128),
        decoder=DecoderConfig(hidden=128, embedding=64, dropout=0.1, ctc=0.3),
        batch=BatchConfig(sentences=32, frames=16_000, max_frames=1500),
        train=TrainConfig(epochs=5, lr=3e-3, schedule="cosine", warmup=100, average=0),
        search=SearchConfig(max_length=40),
    )


def grid() -> SpeechConfig:
    """GRID, one speaker's commands of six words, 800 of them (Cooke et al. 2006); --data FOLDER, also of its videos.

    Characters learn faster here than words, of which some came thirty times only. Run with --decoder.kind each:
    attention 1.00 % word errors on validation with beam 5, transducer 0.83; see benchmarks/README.md.
    """
    return SpeechConfig(
        data="grid",
        vocabulary=VocabularyConfig(kind="character", size=100),
        features=FeatureConfig(mels=40),
        augment=AugmentConfig(speeds=(0.9, 1.0, 1.1)),
        encoder=SpeechEncoderConfig(channels=16, hidden=192, layers=2, dropout=0.3),
        attention=AttentionConfig(score="location", hidden=160),
        decoder=DecoderConfig(hidden=256, embedding=64, dropout=0.3, ctc=0.3),
        batch=BatchConfig(sentences=16, frames=16_000, max_frames=1500),
        train=TrainConfig(epochs=90, lr=2e-3, schedule="cosine", warmup=200, average=4, patience=0),
        search=SearchConfig(max_length=60),
    )


def an4() -> SpeechConfig:
    """CMU AN4, an hour of spelled names and numbers; from the hub, or --data FOLDER of sound or .npy features.

    No convolutions and no frequency masks, since neighbours among cepstral coefficients are no neighbours in sound.
    On MFCC 17.09 % word and 10.97 % character errors on validation with beam 5; see benchmarks/README.md.
    """
    return replace(
        grid(),
        data="espnet/an4",
        augment=AugmentConfig(stretch=0.15, frequency_masks=0, time_masks=3, time_width=0.05),
        encoder=SpeechEncoderConfig(convolutions=0, hidden=256, layers=4, pyramid=2, dropout=0.3),
        attention=AttentionConfig(score="location", hidden=128),
        decoder=DecoderConfig(hidden=256, embedding=64, dropout=0.3, ctc=0.5),
        batch=BatchConfig(sentences=8, frames=8_000, max_frames=1500),
        train=TrainConfig(epochs=60, lr=1.5e-3, schedule="cosine", warmup=300, average=5, patience=0),
        search=SearchConfig(max_length=100),
    )


def kerstin() -> SpeechConfig:
    """German read speech of one voice, 1.6 hours; --data FOLDER."""
    return replace(
        grid(),
        data="kerstin_de",
        vocabulary=VocabularyConfig(kind="character", size=100),
        features=FeatureConfig(mels=80),
        augment=AugmentConfig(stretch=0.1),
        encoder=SpeechEncoderConfig(channels=32, hidden=256, layers=3, dropout=0.3),
        attention=AttentionConfig(score="location", hidden=256),
        decoder=DecoderConfig(hidden=320, embedding=64, dropout=0.3, ctc=0.5),
        batch=BatchConfig(sentences=16, frames=16_000, max_frames=1500),
        train=TrainConfig(epochs=60, lr=2e-3, schedule="cosine", warmup=300, average=4, patience=0),
        search=SearchConfig(max_length=200),
    )


def kerstin_whisper() -> SpeechConfig:
    """The same, listened to by Whisper's English encoder, which is fine-tuned: --encoder.pretrained FOLDER."""
    return replace(
        kerstin(),
        encoder=SpeechEncoderConfig(pretrained="openai/whisper-tiny.en", hidden=256, layers=2, pyramid=1, dropout=0.2),
        train=TrainConfig(
            epochs=16, lr=1e-3, encoder_lr=2e-4, unfreeze_at=73, schedule="cosine", warmup=100, average=4, patience=0
        ),
    )


def librispeech100() -> SpeechConfig:
    """LibriSpeech, 100 hours of read English (Panayotov et al. 2015); from the hub, or --data FOLDER. Not yet run."""
    return SpeechConfig(
        data="openslr/librispeech_asr:clean",
        vocabulary=VocabularyConfig(kind="bpe", size=1000),
        augment=AugmentConfig(speeds=(0.9, 1.0, 1.1)),
        encoder=SpeechEncoderConfig(channels=32, hidden=512, layers=4, pyramid=1, dropout=0.2),
        attention=AttentionConfig(score="location", hidden=512),
        decoder=DecoderConfig(hidden=768, embedding=256, dropout=0.2, ctc=0.3),
        batch=BatchConfig(sentences=64, frames=60_000, max_length=400, max_frames=1700),
        train=TrainConfig(epochs=40, lr=1e-3, schedule="cosine", warmup=2000, average=5, workers=4),
        search=SearchConfig(beam=8, max_length=300),
    )


def common_voice() -> SpeechConfig:
    """Common Voice, sentences read by volunteers (Ardila et al. 2020); from the hub, or --data FOLDER. Not yet run.

    Another language: --data mozilla-foundation/common_voice_17_0:de. Its broken clips are left out.
    """
    return replace(librispeech100(), data="mozilla-foundation/common_voice_17_0:en", skip_invalid=True)


EVERY = (tiny, demo, grid, an4, kerstin, kerstin_whisper, librispeech100, common_voice)
PRESETS = {preset.__name__: preset for preset in EVERY}
