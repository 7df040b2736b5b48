"""Complete configurations by name. The docstring of one that was run gives its command, time and metrics."""

from dataclasses import replace

from tasks.audio_visual_speech.task import AudioVisualConfig, LipsConfig, SoundConfig
from tasks.speech_recognition import presets as sound_presets
from tasks.speech_recognition.features import SpeechAugmentConfig
from tasks.video_to_text import presets as lips_presets


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


PRESETS = {preset.__name__: preset for preset in (grid,)}
