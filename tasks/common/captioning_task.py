"""The common part of image captioning and video to text: media files with captions, and vision encoders."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from torch import Tensor

from encoders.base import IdentityFrontend, SourceBatch
from encoders.config import NoSequenceEncoderConfig
from encoders.pretrained.base import PretrainedFrontend
from tasks.common.analysis.views import TextView, View
from tasks.common.captioning_config import CaptioningConfig
from tasks.common.config import report_settings_of_raw_data
from tasks.common.data.arrays import pad_arrays
from tasks.common.data.captioned_media import add_targets
from tasks.common.data.containers import Note
from tasks.common.data.inputs import InputSegment
from tasks.common.data.limits import MAX_SIDE
from tasks.common.data.media_files import MediaError, media_key, read_feature_array
from tasks.common.data.media_probe import MediaProbe, probe_media
from tasks.common.errors import UsageError
from tasks.common.inference.report import ReportExtras
from tasks.common.media_task import MediaTask
from tasks.common.metrics.base import Metric
from tasks.common.metrics.diversity import caption_diversity
from tasks.common.training.attention_monitor import FocusMonitor

if TYPE_CHECKING:
    import datasets

C = TypeVar("C", bound=CaptioningConfig)


class CaptionReport(ReportExtras):
    """Adds the diversity of the captions to the evaluation report."""

    def __init__(self, training_captions: Callable[[], Iterable[Sequence[str]]]):
        """``training_captions``: returns the captions of each training example, or raises UsageError."""
        self.training_captions = training_captions

    def diversity(self, hypotheses: Sequence[str]) -> dict[str, float]:
        return caption_diversity(hypotheses, self.training_captions)


class CaptioningTask(MediaTask[C]):
    """Generate a sentence from a media file: an image or a video, or a .npy file of features.

    A source is a dictionary with the keys ``path`` and ``bytes``, one of which may be None.

    Attributes:
        feature_dim: Numbers of a feature vector, where the training data are features; 0 for pixels.
        pretrained_config: The settings to build the pretrained encoder from, in a run folder; else None.
    """

    feature_dim: int
    pretrained_config: dict[str, Any] | None = None

    def __init__(self, config: C):
        super().__init__(config)
        self.report = CaptionReport(self.training_captions)
        self.attention_monitor = FocusMonitor()

    # ── Defined by the task ─────────────────────────────────────────────────────────────────────────────────

    @property
    @abstractmethod
    def probe(self) -> MediaProbe:
        """The check of a file."""

    @abstractmethod
    def toy_examples(self, split: str) -> "datasets.Dataset":
        """Return the columns source and captions of the toy world."""

    @abstractmethod
    def read_examples(self, data: str, split: str) -> "datasets.Dataset":
        """Return the columns source and captions of a dataset, before any file is read.

        Raises:
            UsageError: there is no such split.
        """

    @abstractmethod
    def load_backbone(self, name: str) -> PretrainedFrontend:
        """Load a pretrained encoder by its name. Raises ValueError if that is not possible."""

    @abstractmethod
    def backbone_from_config(self, config: dict[str, Any]) -> PretrainedFrontend:
        """Build a pretrained encoder, with random weights, from the ``to_config`` of one."""

    @abstractmethod
    def collate_pixels(self, sources: Sequence[dict[str, Any]], training: bool) -> SourceBatch:
        """Collate images or videos, which are not features."""

    @abstractmethod
    def view_media(self, source: dict[str, Any], weights: Tensor) -> View:
        """Return the view of the attention of each token over an image or a video, which is not features."""

    # ── The same for images and videos ──────────────────────────────────────────────────────────────────────

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        from tasks.common.metrics.captions import caption_metrics  # of an extra, which prediction does not need

        return caption_metrics(exact_match=self.config.data is None)

    @cached_property
    def backbone(self) -> PretrainedFrontend | None:
        """The pretrained encoder, if there is one: with its weights, or built from a run folder's configuration."""
        name = self.config.encoder.pretrained
        try:
            if self.pretrained_config is not None:
                side = self.pretrained_config["preprocessor"]["size"]
                if not 0 < side <= MAX_SIDE:
                    raise ValueError(f"its images have {side} × {side} pixels; allowed are 1 to {MAX_SIDE}")
                return self.backbone_from_config(self.pretrained_config)
            return None if name is None else self.load_backbone(name)
        except ValueError as error:
            raise UsageError(f"encoder.pretrained: {error}") from error

    def captions(self, split: str) -> "datasets.Dataset":
        """Return the columns source and captions of a split, before any file is checked."""
        data = self.config.data
        return self.toy_examples(split) if data is None else self.read_examples(data, split)

    def training_captions(self) -> Iterable[Sequence[str]]:
        return self.captions("train")["captions"]

    def load(self, split: str) -> "datasets.Dataset":
        config = self.config
        where = f"{config.data or 'toy world'}, {split}"
        table = probe_media(self.captions(split), where, self.probe, config.skip_invalid)
        return add_targets(table, config.text_normalization, all_captions=config.data is not None)

    def fit_sources(self, examples: "datasets.Dataset") -> None:
        self.feature_dim = examples[0]["feature_dim"]
        if self.feature_dim:
            report_settings_of_raw_data(self.config, self.config.pixel_settings())

    def source_state_dict(self) -> dict[str, Any]:
        return {
            "feature_dim": self.feature_dim,
            "pretrained": None if self.backbone is None else self.backbone.to_config(),
        }

    def load_source_state_dict(self, state: dict[str, Any]) -> None:
        self.feature_dim = state["feature_dim"]
        self.pretrained_config = state["pretrained"]

    @property
    def normalizes_states(self) -> bool:
        """True if projected features of a pretrained network are the memory's states: see ``build_activation``."""
        is_pretrained = bool(self.feature_dim) or self.backbone is not None
        return is_pretrained and isinstance(self.config.encoder.sequence, NoSequenceEncoderConfig)

    def build_feature_frontend(self) -> IdentityFrontend:
        """Build the frontend of data that are features. Raises ValueError if a pretrained encoder is configured."""
        if self.backbone is not None:
            raise ValueError("encoder.pretrained is set, but the data are features, which need no pretrained encoder")
        return IdentityFrontend(self.feature_dim)

    def source_key(self, source: dict[str, Any]) -> str:
        return media_key(source)

    def collate_sources(self, sources: Sequence[dict[str, Any]], training: bool) -> SourceBatch:
        if self.feature_dim:
            return pad_arrays([read_feature_array(source["path"], self.source_unit) for source in sources])
        return self.collate_pixels(sources, training)

    def parse_file(self, file: dict[str, Any], note: Note) -> list[InputSegment]:
        """Make a segment of a file. Raises MediaError if the model can't use it."""
        result = self.probe(file)
        if result.problem:
            raise MediaError(result.problem)
        if result.feature_dim != self.feature_dim:
            got, expected = (
                f"features of {dim} numbers" if dim else "pixels" for dim in (result.feature_dim, self.feature_dim)
            )
            raise MediaError(f"holds {got}; this model was trained on {expected}")
        if result.note:
            note(result.note)
        return [InputSegment(file)]

    def view_alignment(self, source: dict[str, Any], weights: Tensor) -> list[View]:
        if self.feature_dim:
            return [TextView(weights, [str(state + 1) for state in range(weights.size(1))])]
        return [self.view_media(source, weights)]
