"""The experiments of the tutorial: each module but the shared ones is a lesson, with a function ``run``.

    python run.py lesson                    the list of lessons
    python run.py lesson bottleneck         train what it needs, print its table and save its figure

What lessons share is in ``toy_text``, ``training``, ``translating``, ``aligning`` and ``figures``; ``lesson`` is the
command.
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
    "alignment": "which words a translator attends to, from German, French and Chinese",
    "focus": "which part of an image is attended to for each word of its caption",
    "kinds": "twelve kinds of attention on the same sentence",
    "scores": "six score functions with the same small budget",
    "transformer": "the Transformer beside the LSTM with attention, by length of text",
    "advantages": "fewer parameters, faster, better: what attention really costs and gives",
}
