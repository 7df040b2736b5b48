"""Complete configurations by name. The docstring of one that was run gives its command, time and metrics."""

from dataclasses import replace

from tasks.audio_visual_speech.config import AudioVisualConfig, LipsConfig, SoundConfig
from tasks.common.small import NUM_EXAMPLES
from tasks.speech_recognition import presets as sound_presets
from tasks.speech_recognition.config import SpeechAugmentConfig
from tasks.video_to_text import presets as lips_presets
from tasks.video_to_text.config import FrameConfig


def grid() -> AudioVisualConfig:
    """GRID: one speaker's commands (Cooke et al. 2006), seen and heard, with babble in training; --data FOLDER.

    After twice 20 epochs, from encoders of sound and of lips: 4.50 % word errors on clean validation sound, 15.67 %
    with babble at 0 dB, where sound alone has 40.50 % and lips alone 32.50 %; 21 minutes on one core
    (benchmarks/README.md).
    """
    sound, lips = sound_presets.grid(), lips_presets.grid()
    return AudioVisualConfig(
        data="grid",
        vocabulary=lips.vocabulary,
        sound=SoundConfig(
            features=sound.features,
            augment=SpeechAugmentConfig(babble_snrs=(10.0, 0.0, -10.0)),
            encoder=sound.encoder,
        ),
        # Frames that are dropped or repeated would be out of step with the sound.
        lips=LipsConfig(frames=lips.frames, augment=replace(lips.augment, stutter=0.0), encoder=lips.encoder),
        attention=lips.attention,
        decoder=lips.decoder,
        batch=lips.batch,
        train=replace(lips.train, epochs=20),
        search=lips.search,
    )


def small(num_examples: int = NUM_EXAMPLES) -> AudioVisualConfig:
    """Your own videos of speakers: --data FOLDER; sizes and length of training by their number.

    --lips.frames.crop TOP BOTTOM LEFT RIGHT, the place of the mouth, makes the lips larger.
    """
    sound = sound_presets.small(num_examples)
    return replace(
        grid(),
        data=None,
        sound=SoundConfig(features=sound.features, encoder=sound.encoder),
        lips=replace(
            grid().lips,
            frames=FrameConfig(num_frames=0, cache_frames=True),
            encoder=replace(grid().lips.encoder, sequence=sound.encoder.sequence, channels=(16, 24, 32)),
        ),
        attention=sound.attention,
        decoder=sound.decoder,
        batch=sound.batch,
        train=sound.train,
        search=sound.search,
    )


PRESETS = {preset.__name__: preset for preset in (grid, small)}
