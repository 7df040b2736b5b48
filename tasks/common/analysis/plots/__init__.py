"""Plots of attention weights and of metrics, written as PNG files without a display."""

from tasks.common.analysis.plots.charts import plot_alignment, plot_by_length, plot_curves, plot_learning_curves
from tasks.common.analysis.plots.media import (
    plot_audio_attention,
    plot_frame_attention,
    plot_image_attention,
    plot_region_attention,
)
from tasks.common.analysis.plots.scene import AudioPanel, ImagePanel, TextPanel, VideoPanel, plot_scene

__all__ = [
    "AudioPanel",
    "ImagePanel",
    "TextPanel",
    "VideoPanel",
    "plot_alignment",
    "plot_audio_attention",
    "plot_by_length",
    "plot_curves",
    "plot_frame_attention",
    "plot_image_attention",
    "plot_learning_curves",
    "plot_region_attention",
    "plot_scene",
]
