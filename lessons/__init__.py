"""The experiments of the tutorial: each module but the shared ones is a lesson, with a function ``run``.

    python run.py lesson                    the list of lessons
    python run.py lesson bottleneck         train what it needs, print its table and save its figure

``toy_text``, ``training`` and ``translating`` are what lessons share, ``lesson`` is the command.
"""

LESSONS = {
    "bottleneck": "long sentences through a fixed context vector, and with attention",
}
