"""Captioning as it is used: every form of data, every kind of file, bad ones, several captions, pictures."""

import dataclasses
import http.server
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict, Features, Image, List, Value
from matplotlib.image import imread
from PIL import Image as Pillow
from torch.testing import assert_close

import run
from attention.memory import Memory
from tasks.common.data.captioned_media import MediaError
from tasks.common.data.images import ImageAugmentConfig, image_problem, load_pixels, open_image
from tasks.common.errors import UsageError
from tasks.image_captioning import Task
from tasks.image_captioning.presets import tiny

CAPTIONS = [["A red one.", "one in red"], ["A blue one.", "it's blue"], ["Green!", "all green"]]
COLORS = ["red", "blue", "green"]
SHORT = ["--train.epochs", "1", "--vocabulary.min-frequency", "1", "--search.max-length", "8"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def paint(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, color in enumerate(COLORS):
        Pillow.new("RGB", (40 + number, 30), color).save(folder / f"{number}.png")


def lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def folder(tmp_path) -> Path:
    """The imagefolder convention."""
    place = tmp_path / "data"
    for split in ("train", "val", "test"):
        paint(place / split)
        rows = [{"file_name": f"{number}.png", "captions": given} for number, given in enumerate(CAPTIONS)]
        lines(place / split / "metadata.jsonl", rows)
    return place


def config(**changes):
    return dataclasses.replace(tiny(), **changes)


def load(data: object, split: str = "train", **changes) -> Dataset:
    return Task(config(data=str(data), **changes)).load(split)


# ── Where data come from ────────────────────────────────────────────────────────────────────────────────────


def test_a_folder_is_read_with_its_captions_made_plain_to_learn_and_raw_to_score(folder):
    examples = load(folder)
    assert examples["references"][:] == CAPTIONS
    assert examples["target"][:] == [["a red one", "one in red"], ["a blue one", "it's blue"], ["green", "all green"]]
    assert load(folder, "validation")["references"][:] == CAPTIONS


def test_a_caption_a_row_becomes_several_captions_of_a_picture(folder):
    rows = [{"file_name": f"{number}.png", "caption": text} for number in range(3) for text in CAPTIONS[number]]
    lines(folder / "train" / "metadata.jsonl", rows)
    assert load(folder)["references"][:] == CAPTIONS


def test_cocos_annotations(tmp_path):
    paint(tmp_path / "coco" / "train2017")
    (tmp_path / "coco" / "annotations").mkdir()
    texts = [(number, text) for number in range(3) for text in CAPTIONS[number]]
    content = {
        "images": [{"id": 7 + number, "file_name": f"{number}.png"} for number in range(3)],
        "annotations": [{"image_id": 7 + number, "caption": text} for number, text in texts],
    }
    (tmp_path / "coco" / "annotations" / "captions_train2017.json").write_text(json.dumps(content))
    assert load(tmp_path / "coco")["references"][:] == CAPTIONS


def test_karpathys_splits(tmp_path):
    paint(tmp_path / "flickr" / "images")
    splits = ["train", "restval", "val"]
    images = [
        {"filename": f"{n}.png", "split": splits[n], "sentences": [{"raw": text} for text in CAPTIONS[n]]}
        for n in range(3)
    ]
    (tmp_path / "flickr" / "dataset_flickr8k.json").write_text(json.dumps({"images": images}))
    assert load(tmp_path / "flickr")["references"][:] == CAPTIONS[:2]
    assert load(tmp_path / "flickr", "validation")["references"][:] == CAPTIONS[2:]
    with pytest.raises(UsageError, match="no pictures of the test split"):
        load(tmp_path / "flickr", "test")


@pytest.mark.parametrize("numbered", [False, True])
def test_a_data_set_of_the_hubs_kind(tmp_path, folder, numbered):
    pictures = [{"path": None, "bytes": (folder / "train" / f"{n}.png").read_bytes()} for n in range(3)]
    features = {"image": Image()}
    if numbered:
        columns = {f"caption_{i}": [given[i] for given in CAPTIONS] for i in range(2)}
        features |= {name: Value("string") for name in columns}
    else:
        columns, features = {"caption": CAPTIONS}, features | {"caption": List(Value("string"))}
    table = Dataset.from_dict({"image": pictures, **columns}, features=Features(features))
    DatasetDict({"train": table}).save_to_disk(str(tmp_path / "saved"))
    examples = load(tmp_path / "saved")
    assert examples["references"][:] == CAPTIONS
    task = Task(config(data="x"))
    task.fit(examples)
    assert task.collate_sources(examples["source"][:], training=False).values.shape == (3, 3, 32, 32)


def test_features_of_regions_in_place_of_pictures(tmp_path):
    for split in ("train", "val"):
        (tmp_path / "regions" / split).mkdir(parents=True)
        rows = []
        for number, given in enumerate(CAPTIONS):
            np.save(tmp_path / "regions" / split / f"{number}.npy", np.random.rand(2 + number, 6).astype(np.float16))
            rows.append({"file_name": f"{number}.npy", "captions": given})
        lines(tmp_path / "regions" / split / "metadata.jsonl", rows)
    run.main(["image_captioning", "train", "tiny", "--data", "regions", "--run", "run", *SHORT])
    run.main(["image_captioning", "evaluate", "run", "--split", "validation"])
    run.main(["image_captioning", "predict", "run", "regions/val/1.npy", "--plot-dir", "pictures"])
    assert imread("pictures/0001.png").size > 0


# ── What a picture may be ───────────────────────────────────────────────────────────────────────────────────


def saved(picture: Pillow.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def test_every_mode_becomes_the_same_colours():
    red = Pillow.new("RGB", (20, 16), (255, 0, 0))
    grey = Pillow.new("L", (20, 16), 100)
    deep = Pillow.fromarray(np.full((16, 20), 100 * 257, dtype=np.uint16))
    transparent = Pillow.new("RGBA", (20, 16), (0, 0, 0, 0))
    for content, color in (
        (saved(red, "png"), (255, 0, 0)),
        (saved(red.convert("P"), "png"), (255, 0, 0)),
        (saved(red.convert("CMYK"), "jpeg", quality=100), (255, 0, 0)),
        (saved(grey, "png"), (100, 100, 100)),
        (saved(deep, "png"), (100, 100, 100)),
        (saved(transparent, "png"), (255, 255, 255)),
        (saved(red.convert("1"), "png"), None),
    ):
        values = load_pixels(content, 8)
        assert values.shape == (3, 8, 8)
        assert values.dtype == torch.uint8
        if color is not None:
            assert_close(values.float().mean(dim=(1, 2)), torch.tensor(color).float(), atol=4, rtol=0)


def test_pictures_are_turned_upright():
    picture = Pillow.new("RGB", (20, 10), "black")
    picture.paste((255, 255, 255), (0, 0, 10, 10))  # its left half is white
    exif = Pillow.Exif()
    exif[0x0112] = 6  # turn it by 90 degrees clockwise, so that left becomes top
    upright = open_image(saved(picture, "png", exif=exif))
    assert upright.size == (10, 20)
    assert upright.getpixel((5, 2)) == (255, 255, 255)
    assert upright.getpixel((5, 18)) == (0, 0, 0)


def test_of_an_animation_the_first_picture_is_read():
    first, second = Pillow.new("RGB", (16, 16), "red"), Pillow.new("RGB", (16, 16), "blue")
    content = saved(first, "gif", save_all=True, append_images=[second])
    assert load_pixels(content, 8)[0].float().mean() > 250


def test_a_panorama_is_read_whole():
    wide = Pillow.new("RGB", (20_000, 60), "green")
    for kind in ("jpeg", "png"):
        assert image_problem(saved(wide, kind)) is None
        assert load_pixels(saved(wide, kind), 16)[1].float().mean() > 120


def test_what_is_wrong_with_a_picture_is_said(tmp_path):
    good = saved(Pillow.new("RGB", (64, 64), "red"), "jpeg")
    (tmp_path / "text.jpg").write_text("not a picture at all")
    assert "empty" in str(image_problem(b""))
    assert "broken" in str(image_problem(good[: len(good) // 2]))
    assert "1 × 1" in str(image_problem(saved(Pillow.new("RGB", (1, 1)), "png")))
    assert "no picture" in str(image_problem(str(tmp_path / "text.jpg")))
    assert "does not exist" in str(image_problem("nowhere.jpg"))
    assert "folder" in str(image_problem(str(tmp_path)))
    with pytest.raises(MediaError, match="million pixels"):
        open_image(saved(Pillow.new("1", (20_000, 20_000)), "png"))


def test_augmentation_changes_pictures_only_as_much_as_it_may():
    gradient = np.tile(np.arange(64, dtype=np.uint8)[None, :, None] * 4, (64, 1, 3))
    content = saved(Pillow.fromarray(gradient), "png")
    still = load_pixels(content, 32, ImageAugmentConfig())
    assert_close(still, load_pixels(content, 32))
    crops = torch.stack([load_pixels(content, 32, ImageAugmentConfig(crop=0.25)) for _ in range(40)]).float()
    spans = crops[..., -1].mean(dim=(1, 2)) - crops[..., 0].mean(dim=(1, 2))
    assert spans.min() > 0.70 * 252
    assert spans.max() - spans.min() > 0.1 * 252
    flips = [bool(load_pixels(content, 32, ImageAugmentConfig(flip=True))[0, 0, 0] > 128) for _ in range(40)]
    assert 5 < sum(flips) < 35
    colors = torch.stack([load_pixels(content, 32, ImageAugmentConfig(color=0.3)) for _ in range(20)]).float()
    assert colors.mean(dim=(1, 2, 3)).std() > 3


def test_all_bad_rows_are_told_before_training_and_may_be_left_out(folder, capsys):
    (folder / "train" / "0.png").write_bytes(b"")
    (folder / "train" / "1.png").unlink()
    with pytest.raises(
        UsageError, match=r"2 of 3 rows are invalid.*0\.png\) is empty.*1\.png\) does not exist.*--skip-invalid"
    ):
        load(folder)
    assert load(folder, skip_invalid=True)["references"][:] == CAPTIONS[2:]
    rows = [{"file_name": "2.png", "captions": []}, {"file_name": "2.png", "captions": [" "]}]
    lines(folder / "val" / "metadata.jsonl", rows)
    with pytest.raises(UsageError, match="has no caption"):
        load(folder, "validation")


def test_a_column_or_a_split_that_is_missing_is_named(folder):
    with pytest.raises(UsageError, match=r"unknown column 'titles'.*captions"):
        load(folder, caption="titles")
    with pytest.raises(UsageError, match="has no train split"):
        load(folder / "train")


# ── Several captions ────────────────────────────────────────────────────────────────────────────────────────


def test_a_picture_is_encoded_once_for_all_its_captions(folder):
    task = Task(config(data=str(folder)))
    examples = task.load("train")
    task.fit(examples)
    model = task.build_model().eval()
    batch = task.collate(examples, [0, 2])
    assert batch.source.values.size(0) == 2
    assert batch.tokens.size(0) == 4
    together = model(batch).item()
    apart = 0.0
    for row in (0, 2):
        for place in range(2):
            picked = examples.select([row])
            only = [[picked[0]["target"][place]]]
            single = picked.remove_columns("target").add_column("target", only)
            apart += model(task.collate(single, [0])).item()
    assert together == pytest.approx(apart, rel=1e-4)


def test_some_of_the_captions_are_drawn_anew_each_time(folder):
    words = dataclasses.replace(tiny().vocabulary, min_frequency=1)
    task = Task(config(data=str(folder), batch=dataclasses.replace(tiny().batch, targets=1), vocabulary=words))
    examples = task.load("train")
    task.fit(examples)
    drawn = {
        task.tokenizer.decode(task.collate(examples, [0], training=True).tokens[0, 1:-1].tolist()) for _ in range(20)
    }
    assert drawn == {"a red one", "one in red"}
    assert task.collate(examples, [0]).tokens.size(0) == 2


def test_a_memory_is_repeated_for_its_owners():
    memory = Memory(torch.randn(2, 3, 4), torch.ones(2, 3, dtype=torch.bool), torch.randn(2, 4))
    several = memory.select(torch.tensor([0, 0, 1]))
    assert_close(several.states[1], memory.states[0])
    assert_close(several.summary[2], memory.summary[1])


# ── Through the command line ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def trained(folder) -> str:
    run.main(["image_captioning", "train", "tiny", "--data", str(folder), "--run", "run", *SHORT])
    return "run"


def test_predict_reads_files_folders_and_says_what_it_cannot(trained, folder, capsys):
    (folder / "test" / "z.jpg").write_text("text")
    capsys.readouterr()
    run.main(["image_captioning", "predict", trained, str(folder / "test"), str(folder / "test" / "0.png")])
    out, err = capsys.readouterr()
    # 0.png, 1.png, 2.png, metadata.jsonl, z.jpg, and the first once more
    written = out.split("\n")[:-1]
    assert len(written) == 6
    assert written[3] == written[4] == ""
    assert written[0] == written[5]
    assert "z.jpg is no picture" in " ".join(err.split())


def test_predict_draws_the_picture_once_for_each_word(trained, folder):
    run.main(["image_captioning", "predict", trained, str(folder / "test" / "0.png"), "--plot-dir", "pictures"])
    assert imread("pictures/0001.png").shape[1] > 200


@pytest.fixture
def address(folder) -> Iterator[str]:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *arguments) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_address_is_fetched_once(trained, folder, address, capsys):
    capsys.readouterr()
    run.main(["image_captioning", "predict", trained, f"{address}/test/1.png", f"{address}/test/none.png"])
    first, err = capsys.readouterr()
    assert "can't be fetched" in err
    (folder / "test" / "1.png").unlink()
    run.main(["image_captioning", "predict", trained, f"{address}/test/1.png", str(folder / "test" / "2.png")])
    assert capsys.readouterr().out.split("\n")[0] == first.split("\n")[0]


def test_a_size_that_the_network_cannot_halve_is_refused():
    task = Task(config(encoder=dataclasses.replace(tiny().encoder, size=30)))
    task.fit(task.load("train"))
    with pytest.raises(UsageError, match="multiples of 8"):
        task.build_model()


def test_evaluation_has_all_of_cocos_metrics(trained, capsys):
    capsys.readouterr()
    run.main(["image_captioning", "evaluate", trained])
    report = json.loads(Path("run/evaluation/test.json").read_text())
    assert set(report["metrics"]) == {"cider", "bleu1", "bleu2", "bleu3", "bleu4", "meteor", "rouge_l"}
    assert set(report["diversity"]) == {"vocabulary used", "distinct captions", "novel captions"}
    assert "novel captions" in capsys.readouterr().out
