"""Limits of what files of strangers may take: how much a small file can become in memory, or on disk.

Whoever reads a file compares what it claims with these before anything of that size is allocated.
"""

MEGABYTE = 1_000_000

# A run folder
MAX_JSON_BYTES = 128 * MEGABYTE  # of vocabulary.json; the largest tokenizers have some 30 MB
MAX_TOKEN_ID = 4_000_000  # tables of tokens are as long as their largest id
MAX_GROWTH = 64  # times the length of a text, by all replacements of a tokenizer together

# Texts
MAX_CHARACTERS = 1_000_000  # of a text: a long book; its tokens take a hundred times as many bytes

# Media
MAX_MEGAPIXELS = 200  # of an image
MAX_FRAME_MEGAPIXELS = 36  # of a frame of a video; 8K has 33
MAX_SIDE = 4096  # pixels of what an image or a frame is resized to, by a run's configuration
MAX_RECORDING_HOURS = 4
MIN_SAMPLE_RATE_HZ = 1000  # each sample of a lower rate would become many
MAX_SAMPLE_RATE_HZ = 1_000_000  # the filter that resamples is the longer the higher the rate
MAX_IMAGE_TEXT_BYTES = 64 * MEGABYTE  # of texts and color profiles in an image

MAX_TAR_TEXT_BYTES = MEGABYTE  # of a text in a tar file of media

# What is fetched from the web
MAX_FETCHED_BYTES = 1000 * MEGABYTE
MAX_FETCH_S = 600
