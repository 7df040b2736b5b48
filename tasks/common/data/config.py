"""Settings of batches."""

from dataclasses import dataclass

from attention.validation import at_least, check_settings


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """Sizes of batches. Sources are measured in the units that the encoder reads: tokens, frames, images."""

    max_target_size: int = 4096
    """Maximum size of a batch's targets with padding: their number times the longest."""
    max_source_size: int = 4096
    """Maximum size of a batch's sources with padding."""
    max_sources: int = 128
    """Maximum number of sources in a batch."""
    targets_per_source: int = 0
    """Number of targets sampled for a source in each training batch, where it has several (0: all of them)."""

    max_target_length: int = 256
    """Training skips longer targets."""
    max_source_length: int = 256
    """Training skips longer sources."""

    def __post_init__(self):
        sizes = ("max_target_size", "max_source_size", "max_sources", "max_target_length", "max_source_length")
        check_settings("batch", self, at_least(1, self, *sizes) | at_least(0, self, "targets_per_source"))
