"""Settings of training."""

import math
from dataclasses import dataclass
from typing import Literal

from attention.validation import at_least, check_settings

TrackerName = Literal["none", "tensorboard", "wandb", "trackio", "mlflow"]
InitName = Literal["default", "xavier", "he", "uniform", "orthogonal"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of training. A step is one update of the parameters."""

    epochs: int = 30
    max_minutes: float = 0.0
    """Length of training in minutes, evaluations included, instead of epochs (0: in epochs): schedule, warm-up and
    evaluations are planned from the measured speed."""
    seed: int = 1
    lr: float = 1e-3
    encoder_lr: float = 0.0
    """Learning rate of a pretrained encoder (0: it is frozen, and its outputs are computed once and cached)."""
    unfreeze_at: int = 0
    """Steps for which a fine-tuned encoder stays frozen, at most a tenth of all steps; its learning rate then rises
    over as many."""
    weight_decay: float = 1e-4
    max_grad_norm: float = 1.0
    """Clip gradients to this norm (0: no clipping)."""
    schedule: Literal["plateau", "cosine", "inverse_sqrt", "constant"] = "plateau"
    warmup_steps: int = 0
    """Steps in which the learning rate rises from zero; at most a tenth of all steps."""
    plateau_factor: float = 0.5
    plateau_patience: int = 1
    """Evaluations without improvement before the learning rate is multiplied by ``plateau_factor``."""
    early_stopping_patience: int | None = None
    """Evaluations without improvement before training stops (0: never); by default 6, and never with max_minutes or
    the schedule cosine, whose last part is where a model improves most."""
    objective: Literal["likelihood", "scst"] = "likelihood"
    """Likelihood of the references; or, as a second phase after --init-from, self-critical sequence training on CIDEr
    (Rennie et al. 2017)."""
    scst_samples: int = 5
    """Sentences sampled for each source in self-critical training."""
    label_smoothing: float = 0.1
    scheduled_sampling: Literal["none", "linear", "exponential", "inverse_sigmoid"] = "none"
    """Decay of the share of reference tokens among the decoder's inputs (Bengio et al. 2015)."""
    sampling_half: int = 5000
    """Steps after which half of the decoder's inputs are its own predictions."""
    sampling_floor: float = 0.25
    """Lower bound of the share of reference tokens."""
    init: InitName = "xavier"
    """Initial values of the parameters."""
    grad_accum_steps: int = 1
    """Batches for each step and process."""
    precision: Literal["no", "bf16", "fp16", "auto"] = "no"
    """Mixed precision: bf16 on a GPU, or on a CPU with AVX-512 BF16 or AMX, where it is faster; fp16 on a GPU; auto
    for bf16 on such a device and float32 on others."""
    eval_steps: int = 0
    """Steps between evaluations (0: at the end of each epoch, and with max_minutes eight times or less often)."""
    save_steps: int = 500
    """Steps between saves of last/; every evaluation saves as well."""
    average_checkpoints: int = 4
    """Number of best checkpoints that are averaged at the end (0 or 1: none)."""
    num_workers: int | None = None
    """Processes that prepare batches, at most the number of cores; by default none on a CPU, up to 4 for each GPU."""
    track: TrackerName = "none"
    """Experiment tracker for configuration, scores and plots of attention: tensorboard (in the run folder), wandb,
    trackio or mlflow. A resumed run goes on in the same tracked run."""

    def __post_init__(self):
        allowed = {
            "lr": (0 < self.lr < math.inf, "above 0"),
            "label_smoothing": (0 <= self.label_smoothing < 1, "at least 0 and below 1"),
            "sampling_floor": (0 <= self.sampling_floor <= 1, "0 to 1"),
            "plateau_factor": (0 < self.plateau_factor < 1, "between 0 and 1"),
        }
        allowed |= at_least(1, self, "epochs", "grad_accum_steps", "sampling_half") | at_least(2, self, "scst_samples")
        allowed |= at_least(0, self, "max_minutes", "seed", "encoder_lr", "unfreeze_at", "weight_decay")
        allowed |= at_least(0, self, "max_grad_norm", "warmup_steps", "plateau_patience")
        if self.early_stopping_patience is not None:
            allowed |= at_least(0, self, "early_stopping_patience")
        if self.num_workers is not None:
            allowed |= at_least(0, self, "num_workers")
        allowed |= at_least(0, self, "eval_steps", "save_steps", "average_checkpoints")
        check_settings("train", self, allowed)

    @property
    def patience(self) -> int:
        """Return the evaluations without improvement before training stops; 0 for no limit."""
        if self.early_stopping_patience is None:
            return 0 if self.schedule == "cosine" or self.max_minutes else 6
        return self.early_stopping_patience

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given the others, each with the reason."""
        unused: dict[str, str] = {}
        if self.max_minutes:
            unused["epochs"] = f"train.max_minutes is {self.max_minutes:g}, not 0, and sets the length of training"
        if self.schedule != "plateau":
            unused |= dict.fromkeys(("plateau_factor", "plateau_patience"), f"train.schedule is {self.schedule}")
        if self.scheduled_sampling == "none":
            unused |= dict.fromkeys(("sampling_half", "sampling_floor"), "train.scheduled_sampling is none")
        if self.objective == "likelihood":
            unused["scst_samples"] = "train.objective is likelihood"
        else:
            unused |= dict.fromkeys(("label_smoothing", "scheduled_sampling"), "train.objective is scst")
        if not self.encoder_lr:
            unused["unfreeze_at"] = "train.encoder_lr is 0"
        return unused
