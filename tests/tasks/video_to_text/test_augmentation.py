"""Augmentation of videos."""

import torch
from torch.testing import assert_close

from tasks.video_to_text.augmentation import augment_frames
from tasks.video_to_text.config import VideoAugmentConfig


def test_augmentation_changes_all_frames_in_the_same_way_and_leaves_at_least_one():
    torch.manual_seed(1)
    clip = torch.full((1, 3, 48, 64), 52, dtype=torch.uint8)
    clip[..., :24, :32] = 0  # a corner that cropping and mirroring move
    clip = clip.expand(6, -1, -1, -1)
    changed = augment_frames(clip, VideoAugmentConfig(crop=0.4, flip=True, color=0.3))
    assert changed.shape == clip.shape
    assert changed.dtype == torch.uint8
    assert_close(changed, changed[:1].expand_as(changed))
    assert (changed != clip).any()
    lengths = [len(augment_frames(clip, VideoAugmentConfig(stutter=0.5))) for _ in range(50)]
    assert min(lengths) >= 1
    assert len(set(lengths)) > 3
    assert_close(augment_frames(clip, VideoAugmentConfig()), clip)
