"""Complete configurations by name. The docstring of one that was run gives its command, time and metrics."""

from attention.config import AttentionConfig
from decoders.config import RecurrentDecoderConfig, SearchConfig
from encoders.config import RecurrentEncoderConfig
from tasks.audio_visual_speech.task import AudioVisualConfig, LipsConfig, SoundConfig
from tasks.common.data.batching import BatchConfig
from tasks.common.text.tokenizer import VocabularyConfig
from tasks.common.training.config import TrainConfig
from tasks.speech_recognition.features import FeatureConfig, SpeechAugmentConfig
from tasks.speech_recognition.task import SpeechEncoderConfig
from tasks.video_to_text.augmentation import VideoAugmentConfig
from tasks.video_to_text.frames import FrameConfig
from tasks.video_to_text.task import VideoEncoderConfig


def grid() -> AudioVisualConfig:
    """GRID: one speaker's commands (Cooke et al. 2006), seen and heard, with babble in training; --data FOLDER.

    After twice 20 epochs, from encoders of sound and of lips: 4.50 % word errors on clean validation sound, 15.67 %
    with babble at 0 dB, where sound alone has 40.50 % and lips alone 32.50 %; 21 minutes on one core
    (benchmarks/README.md).
    """
    return AudioVisualConfig(
        data="grid",
        vocabulary=VocabularyConfig(kind="character", size=100),
        sound=SoundConfig(
            features=FeatureConfig(num_mels=40),
            augment=SpeechAugmentConfig(babble_snrs=(10.0, 0.0, -10.0)),
            encoder=SpeechEncoderConfig(RecurrentEncoderConfig(hidden_dim=192, num_layers=2, dropout=0.3), channels=16),
        ),
        lips=LipsConfig(
            frames=FrameConfig(num_frames=0, crop=(118, 158, 76, 136), cache_frames=True),
            augment=VideoAugmentConfig(crop=0.12, flip=True, color=0.15),
            encoder=VideoEncoderConfig(
                RecurrentEncoderConfig(hidden_dim=256, num_layers=2, dropout=0.3),
                size=(32, 48),
                frontend="spatiotemporal",
                channels=(24, 32, 64),
            ),
        ),
        attention=AttentionConfig(score="location", hidden_dim=128, guidance_weight=1.0),
        decoder=RecurrentDecoderConfig(hidden_dim=256, embedding_dim=64, dropout=0.3, ctc_weight=0.3),
        batch=BatchConfig(max_sources=8, max_source_length=400),
        train=TrainConfig(epochs=20, lr=1e-3, schedule="cosine", warmup_steps=300, average_checkpoints=4),
        search=SearchConfig(max_length=60),
    )


PRESETS = {preset.__name__: preset for preset in (grid,)}
