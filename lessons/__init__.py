"""The experiments of the tutorial: each module but the shared ones is a lesson, with a function ``run``.

    python run.py lesson                    the list of lessons
    python run.py lesson bottleneck         train what it needs, print its table and save its figure

``toy_text``, ``training`` and ``translating`` are what lessons share, ``lesson`` is the command.
"""

LESSONS = {
    "padding": "what the masks of padding are for: training without each of them",
    "exposure_bias": "words after the first wrong one, with teacher forcing and scheduled sampling",
    "initialization": "the sizes of activations and gradients, layer by layer, for five starts",
    "clipping": "exploding gradients, with and without clipping",
    "learning_rate": "learning rate and batch size: the loss after the same number of examples",
    "gradient_reach": "the gradient that reaches the n-th last word, in an LSTM, a GRU and an RNN",
    "cells": "long sentences through a fixed context vector, with an LSTM, a GRU and an RNN",
    "bottleneck": "long sentences through a fixed context vector, and with attention",
    "capacity": "what a fixed context vector of d numbers holds of a sentence of n words",
    "reading_order": "what a fixed context vector holds of a sentence read forward, backward, and both ways",
}
