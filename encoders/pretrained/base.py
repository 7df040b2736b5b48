"""The base of all pretrained frontends: freezing, and a configuration to build them from again."""

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import huggingface_hub

from encoders.base import Frontend
from encoders.pretrained.downloads import did_you_mean, hub_advice, hub_fault, is_missing_path


class PretrainedFrontend(Frontend, ABC):
    """A frontend around a pretrained ``backbone``. It is frozen at first, see ``set_frozen``.

    The ``preprocessor`` describes, or computes, the backbone's inputs from raw ones. It holds no weights, so it can be
    sent to other processes. Its ``to_config`` returns all settings that its output depends on, in JSON's types.
    """

    library: str
    preprocessor: Any

    def __init__(self, backbone: Any, preprocessor: Any, dim: int):
        super().__init__()
        self.backbone = backbone.float()  # whatever the precision of the saved weights
        self.preprocessor = preprocessor
        self.dim = dim
        self.is_frozen = False
        self.set_frozen(True)

    def set_frozen(self, frozen: bool) -> None:
        """Freeze or unfreeze the backbone; calling it again with the same value does nothing.

        While frozen it has no gradients and stays in evaluation mode, so that its output for an input is always the
        same, in training too. Unfreezing puts it in training mode.
        """
        if frozen != self.is_frozen:
            self.is_frozen = frozen
            self.requires_grad_(not frozen)
            self.train(not frozen)

    def train(self, mode: bool = True) -> "PretrainedFrontend":
        return super().train(mode and not self.is_frozen)

    @abstractmethod
    def backbone_settings(self) -> dict[str, Any]:
        """Return the settings from which the library builds the backbone, in JSON's types."""

    def to_config(self) -> dict[str, Any]:
        """Return all that ``*_model_from_config`` needs except the weights, in JSON's types."""
        return {
            "library": self.library,
            "model": self.backbone_settings(),
            "preprocessor": self.preprocessor.to_config(),
        }


def transformers_settings(backbone: Any) -> dict[str, Any]:
    """Return the configuration of a transformers model, without its original name and library version."""
    config = json.loads(backbone.config.to_json_string(use_diff=False))
    return {key: value for key, value in config.items() if key not in ("_name_or_path", "transformers_version")}


RECORDS = ("_name_or_path", "pretrained_cfg", "id2label", "label2id", "label_names")
LOADING = ("auto_map", "checkpoint_path", "pretrained_cfg_overlay")  # of code; of weights, in timm's ``model_args``
NAME_MARKS = {"/", "\\", ":"}  # of a repository, a path, or timm's local-dir:FOLDER


def config_from_settings(settings: dict[str, Any]) -> Any:
    """Return the configuration of a transformers model from ``transformers_settings``.

    Raises:
        ValueError: for a setting that names code or a repository, which transformers would fetch and run or load.
    """
    settings = without_records(settings)
    foreign = next(foreign_settings(settings), None)
    if foreign is not None:
        raise ValueError(f"its setting {foreign} names code or files elsewhere, which are never loaded for a run")
    return import_transformers().AutoConfig.for_model(**settings)


def without_records(value: Any) -> Any:
    """Leave out what only records the origin or the labels of a model and of its parts; nothing is built by it."""
    if isinstance(value, dict):
        return {key: without_records(inner) for key, inner in value.items() if key not in RECORDS}
    return [without_records(inner) for inner in value] if isinstance(value, list) else value


def foreign_settings(value: Any, name: str = "") -> Iterator[str]:
    """Find the settings that name code, a file of weights, or a repository: OWNER/NAME, SOURCE:NAME or a path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from [key] if key in LOADING else foreign_settings(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from foreign_settings(inner, name)
    elif isinstance(value, str) and not NAME_MARKS.isdisjoint(value):
        yield name


def check_complete(missing_keys: list[str]) -> None:
    """Raise ValueError if a checkpoint had no value for some weights, which would be random."""
    if missing_keys:
        others = f" and {len(missing_keys) - 1} others" if len(missing_keys) > 1 else ""
        raise ValueError(f"it has no weights for {missing_keys[0]}{others}")


def import_transformers() -> ModuleType:
    """Import transformers and silence its logs and progress bars, which would break up the training log."""
    import transformers

    transformers.logging.set_verbosity(logging.CRITICAL)
    transformers.logging.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    return transformers


def check_name(name: str) -> None:
    """Check that transformers can find a model: a folder, or a hub id in the cache or on a hub that answers.

    Raises:
        ValueError: it can't; the message says what to do.
    """
    if Path(name).exists():
        return
    if is_missing_path(name):
        raise ValueError("there is no such folder")
    fault = hub_fault()
    if fault and not isinstance(huggingface_hub.try_to_load_from_cache(name, "config.json"), str):
        raise ValueError(hub_advice(fault))


def similar_name(name: str) -> str:
    """Return the question for the most similar name of torchvision's or timm's models, if it is not the same one."""
    library, separator, _ = name.partition(":") if ":" in name else name.partition("/")
    if library == "torchvision":
        from torchvision import models

        return did_you_mean(name, [f"torchvision:{each}" for each in models.list_models()])
    if f"{library}{separator}" == "timm/":
        import timm

        return did_you_mean(name, [f"timm/{each}" for each in timm.list_pretrained()])
    return ""


def loading_error(media: str, name: str, error: Exception) -> ValueError:
    """Return an error of one line that says which model can't be loaded and why. ``media``: image, speech or video."""
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return ValueError(f"the {media} model {name} can't be loaded: {reason}{similar_name(name)}")
