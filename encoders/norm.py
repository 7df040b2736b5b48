"""Normalization of the states that a decoder attends to."""

from torch import nn


class StateNorm(nn.LayerNorm):
    """Layer normalization (Ba et al. 2016) whose gain starts at the scale of a recurrent network's states.

    A decoder compares its own states with those of the encoder and reads both. LSTM states have a root mean square of
    about 0.25 at the start of training; states several times as large would saturate an unscaled score and outweigh the
    decoder's own state in the output. Recurrent encoders need no normalization.
    """

    INITIAL_GAIN = 0.25

    def reset_parameters(self) -> None:
        super().reset_parameters()
        nn.init.constant_(self.weight, self.INITIAL_GAIN)
