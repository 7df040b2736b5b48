"""Generate a sentence for each text: infer.py TEXT ... [--beam 5]"""

import numpy as np
from search import EOS, FOLDER, SETTINGS, main
from tokenizers import Tokenizer

SOURCE = SETTINGS["source"]  # the name of the tokenizer's file; the tokens that are kept of a long text
TOKENIZER = Tokenizer.from_file(str(FOLDER / SOURCE["tokenizer"]))
TOKENIZER.encode_special_tokens = True  # text that looks like </s> is text


def read(text):
    """Return the tokens of a text, as a batch of one."""
    ids = TOKENIZER.encode(text.strip(), add_special_tokens=False).ids
    count = SOURCE["max_tokens"]
    if count:
        ids = ids[-count:] if SOURCE["truncation_side"] == "left" else ids[:count]
    values = np.array([[*ids, EOS]])
    return {"values": values, "mask": np.ones_like(values, dtype=bool)}


if __name__ == "__main__":
    main(read)
