"""The configuration of a task: frozen dataclasses, saved as JSON, changed by flags."""

import dataclasses
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from attention.config import AttentionConfig
from attention.validation import at_least, check_settings
from decoders.config import DecoderConfig, RecurrentDecoderConfig, SearchConfig, unsupported_settings
from tasks.common.console import console
from tasks.common.data.config import BatchConfig
from tasks.common.errors import UsageError
from tasks.common.text.config import VocabularyConfig
from tasks.common.training.config import TrainConfig

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Settings of a decoder and its training, which several tasks can have in common."""

    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)
    attention: AttentionConfig | None = field(default_factory=AttentionConfig)
    decoder: DecoderConfig = field(default_factory=RecurrentDecoderConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    projection_dim: int = 0
    """Features to which the states and the summary of the encoder are projected (0: not projected)."""

    def __post_init__(self):
        check_settings("", self, at_least(0, self, "projection_dim"))

    @classmethod
    def class_for(cls, values: Any) -> "type[ModelConfig]":
        """Return the class that JSON values are of: that of a configuration with parts depends on their names."""
        return cls

    def with_data(self, part: str | None, **changes: Any) -> "ModelConfig":
        """Return the configuration with other data: ``data`` and ``skip_invalid``, where they are not empty.

        Args:
            part: The part whose data they are, for a configuration with parts; it is checked in any case.
            **changes: The fields and their values.

        Raises:
            UsageError: if there is no such part, or if it is not said which part's data they are.
        """
        if part is not None:
            raise UsageError(f"--task {part}: it is a run of a single task; leave --task out")
        return dataclasses.replace(self, **{name: value for name, value in changes.items() if value})

    @property
    def has_pretrained_encoder(self) -> bool:
        """True if there is a pretrained encoder, to be fine-tuned or not."""
        return getattr(getattr(self, "encoder", None), "pretrained", None) is not None

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given those of other groups, each with the reason."""
        unused: dict[str, str] = {}
        kind = f"decoder.kind is {self.decoder.kind}"
        if not self.decoder.is_label_synchronous:
            unused |= dict.fromkeys(("train.label_smoothing", "train.scheduled_sampling"), kind)
            unused |= dict.fromkeys((f"search.{name}" for name in unsupported_settings(self.search)), kind)
        if not getattr(self.decoder, "ctc_weight", None):
            unused["search.ctc_weight"] = "decoder.ctc_weight is 0" if hasattr(self.decoder, "ctc_weight") else kind
        if self.attention is None or not self.decoder.uses_attention:
            unused["search.coverage_penalty"] = kind
        elif self.attention.score == "none":
            unused["search.coverage_penalty"] = "attention.score is none"
        if not self.has_pretrained_encoder:
            unused |= dict.fromkeys(
                ("train.encoder_lr", "train.unfreeze_at"), "there is no encoder.pretrained to fine-tune"
            )
        return unused


@dataclass(frozen=True, kw_only=True)
class Config(ModelConfig):
    """Settings of every task; a task adds those of its data and of its encoder."""

    data: str | None = None
    """Folder or hub id; without it, the task's built-in data."""
    skip_invalid: bool = False
    """Leave invalid rows out instead of stopping."""
    batch: BatchConfig = field(default_factory=BatchConfig)

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given those of other groups, each with the reason."""
        unused = {"skip_invalid": "data is not set"} if self.data is None else {}
        return unused | super().unused_settings()


def report_settings_of_raw_data(config: Config, settings: Iterable[str]) -> None:
    """Print those of some settings that were changed, and have no effect since the data are features already.

    Args:
        config: The configuration.
        settings: The settings that features do not depend on, as ``group.setting``.
    """
    changed: list[str] = []
    for setting in settings:
        name, _, inner = setting.partition(".")
        group = getattr(config, name)
        if getattr(group, inner) != getattr(type(group)(), inner):
            changed.append(setting)
    if changed:
        have = "has" if len(changed) == 1 else "have"
        console.print(f"the data are features: {', '.join(changed)} {have} no effect")


def config_from_dict(cls: type[T], values: Any, path: Path) -> T:
    """Build a configuration from its JSON form.

    Raises:
        UsageError: naming ``path``, if the values do not fit.
    """
    try:
        return _build(cls, values)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise UsageError(f"{path} is not a configuration of this program ({error}); train the run again") from error


def _build(kind: Any, value: Any) -> Any:
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        options = [option for option in typing.get_args(kind) if dataclasses.is_dataclass(option)]
        if value is None or not options:
            return value
        kind = options[0] if len(options) == 1 else _of_kind(options, value["kind"])
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        unknown = set(value) - {each.name for each in dataclasses.fields(kind)}
        if unknown:
            raise ValueError(f"unknown setting {sorted(unknown)[0]!r}")
        return typing.cast(Any, kind)(**{name: _build(hints[name], inner) for name, inner in value.items()})
    if typing.get_origin(kind) is tuple:
        return tuple(value)
    if typing.get_origin(kind) is Literal:
        is_valid = value in typing.get_args(kind)
    elif kind is float:
        is_valid = isinstance(value, (int, float)) and not isinstance(value, bool)
    else:
        is_valid = not isinstance(kind, type) or type(value) is kind
    if not is_valid:
        raise ValueError(f"{value!r} is not of type {getattr(kind, '__name__', kind)}")
    return value


def _of_kind(options: list[Any], kind: str) -> Any:
    """Pick the dataclass whose field ``kind`` has this default."""
    for option in options:
        if next(each.default for each in dataclasses.fields(option) if each.name == "kind") == kind:
            return option
    raise ValueError(f"unknown kind {kind!r}")
