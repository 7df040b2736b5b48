"""Image captioning as it is used: all forms of data, all kinds of files, invalid ones, several captions, plots."""

import dataclasses
import http.server
import io
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict, Features, Image, List, Value
from matplotlib.image import imread
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo
from torch.testing import assert_close

from attention.memory import Memory
from encoders.config import RecurrentEncoderConfig
from tasks import run
from tasks.common.captioning_config import ImageAugmentConfig
from tasks.common.data.config import BatchConfig
from tasks.common.data.images import image_problem, load_pixels, open_image
from tasks.common.data.media_files import MediaError
from tasks.common.errors import UsageError
from tasks.common.training.trainer import Trainer
from tasks.image_captioning.presets import tiny
from tasks.image_captioning.task import ImageCaptioning as Task

CAPTIONS = [["A red one.", "one in red"], ["A blue one.", "it's blue"], ["Green!", "all green"]]
COLORS = ["red", "blue", "green"]
SHORT = ["--train.epochs", "1", "--vocabulary.min-frequency", "1", "--search.max-length", "8"]


@pytest.fixture(autouse=True)
def _work_in_an_empty_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def save_images(folder: Path) -> None:
    """Save three images of one color each."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, color in enumerate(COLORS):
        Pillow.new("RGB", (40 + number, 30), color).save(folder / f"{number}.png")


def write_rows(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def folder(tmp_path) -> Path:
    """The imagefolder convention."""
    data = tmp_path / "data"
    for split in ("train", "val", "test"):
        save_images(data / split)
        rows = [{"file_name": f"{number}.png", "captions": captions} for number, captions in enumerate(CAPTIONS)]
        write_rows(data / split / "metadata.jsonl", rows)
    return data


def config(**changes):
    return dataclasses.replace(tiny(), **changes)


def load(data: object, split: str = "train", **changes) -> Dataset:
    return Task(config(data=str(data), **changes)).load(split)


# ── Forms of data ───────────────────────────────────────────────────────────────────────────────────────────


def test_captions_in_a_folder_are_normalized_as_targets_and_unchanged_as_references(folder):
    examples = load(folder)
    assert examples["references"][:] == CAPTIONS
    assert examples["target"][:] == [["a red one", "one in red"], ["a blue one", "it's blue"], ["green", "all green"]]
    assert load(folder, "validation")["references"][:] == CAPTIONS


def test_rows_with_the_same_image_become_one_row_with_several_captions(folder):
    rows = [{"file_name": f"{number}.png", "caption": text} for number in range(3) for text in CAPTIONS[number]]
    write_rows(folder / "train" / "metadata.jsonl", rows)
    assert load(folder)["references"][:] == CAPTIONS


def test_the_annotations_of_coco_are_read(tmp_path):
    save_images(tmp_path / "coco" / "train2017")
    (tmp_path / "coco" / "annotations").mkdir()
    texts = [(number, text) for number in range(3) for text in CAPTIONS[number]]
    content = {
        "images": [{"id": 7 + number, "file_name": f"{number}.png"} for number in range(3)],
        "annotations": [{"image_id": 7 + number, "caption": text} for number, text in texts],
    }
    (tmp_path / "coco" / "annotations" / "captions_train2017.json").write_text(json.dumps(content))
    assert load(tmp_path / "coco")["references"][:] == CAPTIONS


def test_the_splits_of_karpathy_are_read(tmp_path):
    save_images(tmp_path / "flickr" / "images")
    splits = ["train", "restval", "val"]
    images = [
        {"filename": f"{n}.png", "split": splits[n], "sentences": [{"raw": text} for text in CAPTIONS[n]]}
        for n in range(3)
    ]
    (tmp_path / "flickr" / "dataset_flickr8k.json").write_text(json.dumps({"images": images}))
    assert load(tmp_path / "flickr")["references"][:] == CAPTIONS[:2]
    assert load(tmp_path / "flickr", "validation")["references"][:] == CAPTIONS[2:]
    with pytest.raises(UsageError, match="no images of the test split"):
        load(tmp_path / "flickr", "test")


@pytest.mark.parametrize("numbered", [False, True])
def test_a_dataset_with_an_image_column_is_read(tmp_path, folder, numbered):
    images = [{"path": None, "bytes": (folder / "train" / f"{n}.png").read_bytes()} for n in range(3)]
    features = {"image": Image()}
    if numbered:
        columns = {f"caption_{i}": [captions[i] for captions in CAPTIONS] for i in range(2)}
        features |= {name: Value("string") for name in columns}
    else:
        columns, features = {"caption": CAPTIONS}, features | {"caption": List(Value("string"))}
    table = Dataset.from_dict({"image": images, **columns}, features=Features(features))
    DatasetDict(train=table, test=table).save_to_disk(str(tmp_path / "saved"))
    examples = load(tmp_path / "saved")
    assert examples["references"][:] == CAPTIONS
    task = Task(config(data="x"))
    task.fit(examples)
    assert task.collate_sources(examples["source"][:], training=False).values.shape == (3, 3, 32, 32)


def test_region_features_from_files_are_used_in_place_of_images(tmp_path, capsys):
    for split in ("train", "val"):
        (tmp_path / "regions" / split).mkdir(parents=True)
        rows = []
        for number, captions in enumerate(CAPTIONS):
            np.save(tmp_path / "regions" / split / f"{number}.npy", np.random.rand(2 + number, 6).astype(np.float16))
            rows.append({"file_name": f"{number}.npy", "captions": captions})
        write_rows(tmp_path / "regions" / split / "metadata.jsonl", rows)
    run.main(
        ["image_captioning", "train", "tiny", "--data", "regions", "--run", "run", "--augment.crop", "0.1", *SHORT]
    )
    assert re.search(
        r"the data are features: augment\.crop, encoder\.channels,? .*have no effect", capsys.readouterr().err
    )
    run.main(["image_captioning", "evaluate", "run", "--split", "validation"])
    run.main(["image_captioning", "predict", "run", "regions/val/1.npy", "--plot-dir", "plots"])
    assert imread(next(Path("plots").glob("*.png"))).size > 0


# ── Image files ─────────────────────────────────────────────────────────────────────────────────────────────


def encode(image: Pillow.Image, format: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def test_every_color_mode_is_converted_to_rgb():
    red = Pillow.new("RGB", (20, 16), (255, 0, 0))
    gray = Pillow.new("L", (20, 16), 100)
    sixteen_bit = Pillow.fromarray(np.full((16, 20), 100 * 257, dtype=np.uint16))
    transparent = Pillow.new("RGBA", (20, 16), (0, 0, 0, 0))
    for content, color in (
        (encode(red, "png"), (255, 0, 0)),
        (encode(red.convert("P"), "png"), (255, 0, 0)),
        (encode(red.convert("CMYK"), "jpeg", quality=100), (255, 0, 0)),
        (encode(gray, "png"), (100, 100, 100)),
        (encode(sixteen_bit, "png"), (100, 100, 100)),
        (encode(transparent, "png"), (255, 255, 255)),
        (encode(red.convert("1"), "png"), None),
    ):
        values = load_pixels(content, 8)
        assert values.shape == (3, 8, 8)
        assert values.dtype == torch.uint8
        if color is not None:
            assert_close(values.float().mean(dim=(1, 2)), torch.tensor(color).float(), atol=4, rtol=0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.linspace(0, 1, 256, dtype=np.float32), np.arange(256)),
        (np.linspace(0, 255, 256, dtype=np.float32), np.arange(256)),
        (np.linspace(0, 65535, 256, dtype=np.float32), np.arange(256)),
        (np.linspace(-1, 1, 256, dtype=np.float32), np.arange(256)),
        (np.linspace(0, 3e6, 256, dtype=np.float32), np.arange(256)),
        (np.linspace(0, 65535, 256).astype(np.uint16), np.arange(256)),
        (np.arange(256, dtype=np.uint16), np.zeros(256)),  # a dark image of 16 bits, not one of 8
        (np.arange(256, dtype=np.int32), np.arange(256)),
        (np.linspace(0, 2**31 - 1, 256).astype(np.int32), np.arange(256)),
        (np.full(256, np.nan, dtype=np.float32), np.zeros(256)),
        (np.zeros(256, dtype=np.float32), np.zeros(256)),
    ],
)
def test_gray_values_of_any_depth_are_scaled_to_8_bits(values, expected):
    content = encode(Pillow.fromarray(np.tile(values, (16, 1))), "tiff")
    assert np.abs(np.asarray(open_image(content))[0].astype(int) - expected[:, None]).max() <= 1


def test_modes_that_tiff_alone_has_are_converted_to_rgb():
    red = Pillow.new("RGB", (20, 16), (255, 0, 0))
    palette = Pillow.new("P", (20, 16), 0)
    palette.putpalette([0, 0, 255, 255, 0, 0])
    for content, color in (
        (encode(red.convert("CMYK"), "tiff"), (255, 0, 0)),
        (encode(Pillow.new("LAB", (20, 16), (255, 128, 128)), "tiff"), (255, 255, 255)),
        (encode(Pillow.new("LA", (20, 16), (0, 0)), "tiff"), (255, 255, 255)),
        (encode(palette, "png", transparency=0), (255, 255, 255)),
    ):
        found = np.asarray(open_image(content)).reshape(-1, 3).mean(axis=0)
        assert np.abs(found - color).max() <= 4


def test_a_png_with_a_long_text_or_profile_is_read():
    info = PngInfo()
    info.add_text("workflow", "x" * 3_000_000, zip=True)
    plain = Pillow.new("RGB", (20, 16), (255, 0, 0))
    for options in ({"pnginfo": info}, {"icc_profile": bytes(3_000_000)}):
        assert open_image(encode(plain, "png", **options)).getpixel((0, 0)) == (255, 0, 0)


def test_images_are_rotated_as_their_metadata_says():
    image = Pillow.new("RGB", (20, 10), "black")
    image.paste((255, 255, 255), (0, 0, 10, 10))  # the left half is white
    exif = Pillow.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise, so that left becomes top
    upright = open_image(encode(image, "png", exif=exif))
    assert upright.size == (10, 20)
    assert upright.getpixel((5, 2)) == (255, 255, 255)
    assert upright.getpixel((5, 18)) == (0, 0, 0)


def test_the_first_frame_of_an_animation_is_read():
    first, second = Pillow.new("RGB", (16, 16), "red"), Pillow.new("RGB", (16, 16), "blue")
    content = encode(first, "gif", save_all=True, append_images=[second])
    assert load_pixels(content, 8)[0].float().mean() > 250


def test_all_of_a_panorama_is_read():
    wide = Pillow.new("RGB", (20_000, 60), "green")
    for kind in ("jpeg", "png"):
        assert image_problem(encode(wide, kind)) is None
        assert load_pixels(encode(wide, kind), 16)[1].float().mean() > 120


def test_errors_say_what_is_wrong_with_an_image(tmp_path):
    good = encode(Pillow.new("RGB", (64, 64), "red"), "jpeg")
    (tmp_path / "text.jpg").write_text("not an image at all")
    assert "empty" in str(image_problem(b""))
    assert "broken" in str(image_problem(good[: len(good) // 2]))
    assert "1 × 1" in str(image_problem(encode(Pillow.new("RGB", (1, 1)), "png")))
    assert "not a readable image" in str(image_problem(str(tmp_path / "text.jpg")))
    assert "does not exist" in str(image_problem("nowhere.jpg"))
    assert "folder" in str(image_problem(str(tmp_path)))
    with pytest.raises(MediaError, match="million pixels"):
        open_image(encode(Pillow.new("1", (20_000, 20_000)), "png"))


def test_augmentation_stays_within_its_limits():
    gradient = np.tile(np.arange(64, dtype=np.uint8)[None, :, None] * 4, (64, 1, 3))
    content = encode(Pillow.fromarray(gradient), "png")
    unchanged = load_pixels(content, 32, ImageAugmentConfig())
    assert_close(unchanged, load_pixels(content, 32))
    crops = torch.stack([load_pixels(content, 32, ImageAugmentConfig(crop=0.25)) for _ in range(40)]).float()
    spans = crops[..., -1].mean(dim=(1, 2)) - crops[..., 0].mean(dim=(1, 2))
    assert spans.min() > 0.70 * 252
    assert spans.max() - spans.min() > 0.1 * 252
    flips = [bool(load_pixels(content, 32, ImageAugmentConfig(flip=True))[0, 0, 0] > 128) for _ in range(40)]
    assert 5 < sum(flips) < 35
    colors = torch.stack([load_pixels(content, 32, ImageAugmentConfig(color=0.3)) for _ in range(20)]).float()
    assert colors.mean(dim=(1, 2, 3)).std() > 3


def test_all_invalid_rows_are_reported_together_and_may_be_skipped(folder, capsys):
    (folder / "train" / "0.png").write_bytes(b"")
    (folder / "train" / "1.png").unlink()
    with pytest.raises(
        UsageError, match=r"2 of 3 rows are invalid.*0\.png\) is empty.*1\.png\) does not exist.*--skip-invalid"
    ):
        load(folder)
    assert load(folder, skip_invalid=True)["references"][:] == CAPTIONS[2:]
    rows = [{"file_name": "2.png", "captions": []}, {"file_name": "2.png", "captions": [" "]}]
    write_rows(folder / "val" / "metadata.jsonl", rows)
    with pytest.raises(UsageError, match="has no caption"):
        load(folder, "validation")


def test_a_missing_column_or_split_is_named(folder):
    with pytest.raises(UsageError, match=r"unknown column 'titles'.*captions"):
        load(folder, caption_column="titles")
    (folder / "other").mkdir()
    (folder / "other" / "notes.txt").write_text("ours")
    with pytest.raises(UsageError, match="has no train split"):
        load(folder / "other")


# ── Several captions ────────────────────────────────────────────────────────────────────────────────────────


def test_an_image_is_encoded_once_for_all_its_captions(folder):
    task = Task(config(data=str(folder)))
    examples = task.load("train")
    task.fit(examples)
    model = task.build_model().eval()
    batch = task.collate(examples, [0, 2])
    assert batch.source.values.size(0) == 2
    assert batch.tokens.size(0) == 4
    together = model(batch).total.item()
    separately = 0.0
    for row in (0, 2):
        for index in range(2):
            example = examples.select([row])
            target = [[example[0]["target"][index]]]
            single = example.remove_columns("target").add_column("target", target)
            separately += model(task.collate(single, [0])).total.item()
    assert together == pytest.approx(separately, rel=1e-4)


def test_some_of_the_captions_are_sampled_for_each_batch(folder):
    words = dataclasses.replace(tiny().vocabulary, min_frequency=1)
    task = Task(
        config(data=str(folder), batch=dataclasses.replace(tiny().batch, targets_per_source=1), vocabulary=words)
    )
    examples = task.load("train")
    task.fit(examples)
    sampled = {
        task.tokenizer.decode(task.collate(examples, [0], training=True).tokens[0, 1:-1].tolist()) for _ in range(20)
    }
    assert sampled == {"a red one", "one in red"}
    assert task.collate(examples, [0]).tokens.size(0) == 2


@pytest.mark.parametrize(("targets_per_source", "num_batches"), [(0, 2), (1, 1)])
def test_all_captions_of_a_batch_count_in_its_size(targets_per_source, num_batches, folder, tmp_path):
    batch = BatchConfig(max_target_size=20, targets_per_source=targets_per_source)
    trainer = Trainer(Task(config(data=str(folder), batch=batch)), tmp_path, resume=False)
    validation = trainer.validation.parts[""]
    assert (len(trainer.batches.epoch(0)), len(validation.batches)) == (num_batches, 2)
    planned = [(trainer.batches.examples[""], rows, True) for _, rows in trainer.batches.epoch(0)]
    planned += [(validation.examples, rows, False) for rows in validation.batches]
    for examples, rows, training in planned:
        tokens = validation.task.collate(examples, rows, training).tokens[:, 1:]
        assert tokens.numel() <= 20


def test_a_memory_is_repeated_for_each_of_its_captions():
    memory = Memory(torch.randn(2, 3, 4), torch.ones(2, 3, dtype=torch.bool), torch.randn(2, 4))
    repeated = memory.select(torch.tensor([0, 0, 1]))
    assert_close(repeated.states[1], memory.states[0])
    assert_close(repeated.summary[2], memory.summary[1])


# ── The command line ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def trained(folder) -> str:
    run.main(["image_captioning", "train", "tiny", "--data", str(folder), "--run", "run", *SHORT])
    return "run"


def test_predict_reads_files_and_folders_and_reports_what_it_cannot_read(trained, folder, capsys):
    (folder / "test" / "z.jpg").write_text("text")
    capsys.readouterr()
    with pytest.raises(SystemExit, match=r"^1$"):
        run.main(["image_captioning", "predict", trained, str(folder / "test"), str(folder / "test" / "0.png")])
    out, err = capsys.readouterr()
    # 0.png, 1.png, 2.png, z.jpg, and the first again
    lines = out.split("\n")[:-1]
    assert len(lines) == 5
    assert lines[3] == ""
    assert lines[0] == lines[4]
    assert "z.jpg is not a readable image" in " ".join(err.split())


def test_predict_plots_the_image_once_for_each_word(trained, folder):
    run.main(["image_captioning", "predict", trained, str(folder / "test" / "0.png"), "--plot-dir", "plots"])
    assert imread(next(Path("plots").glob("*.png"))).shape[1] > 200


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


def test_a_web_address_is_fetched_once(trained, folder, address, capsys):
    capsys.readouterr()
    with pytest.raises(SystemExit, match=r"^1$"):
        run.main(["image_captioning", "predict", trained, f"{address}/test/1.png", f"{address}/test/none.png"])
    first, err = capsys.readouterr()
    assert "can't be fetched" in err
    (folder / "test" / "1.png").unlink()
    run.main(["image_captioning", "predict", trained, f"{address}/test/1.png", str(folder / "test" / "2.png")])
    assert capsys.readouterr().out.split("\n")[0] == first.split("\n")[0]


def test_a_size_that_the_layers_cannot_halve_is_refused():
    task = Task(config(encoder=dataclasses.replace(tiny().encoder, size=30)))
    task.fit(task.load("train"))
    with pytest.raises(UsageError, match="multiple of 8"):
        task.build_model()


def test_evaluation_reports_all_metrics_of_coco_and_the_diversity(trained, capsys):
    capsys.readouterr()
    run.main(["image_captioning", "evaluate", trained])
    report = json.loads(Path("run/evaluation/test.json").read_text())
    assert set(report["metrics"]) == {"cider", "bleu1", "bleu2", "bleu3", "bleu4", "meteor", "rouge_l"}
    assert set(report["diversity"]) == {"vocabulary used", "distinct captions", "novel captions"}
    assert "novel captions" in capsys.readouterr().out


# ── Settings without effect ─────────────────────────────────────────────────────────────────────────────────


def test_settings_without_effect_are_listed():
    from_scratch = tiny()
    assert set(from_scratch.encoder.unused_settings()) == {"grad_checkpointing"}
    for_pretrained = {"train.encoder_lr", "train.unfreeze_at"}
    without_data = {"caption_column", "skip_invalid", "batch.targets_per_source"}
    always = {"vocabulary.shared", "search.ctc_weight"}  # there is no decoder.ctc_weight
    assert set(from_scratch.unused_settings()) == {*always, *without_data, *for_pretrained}
    frozen = dataclasses.replace(
        from_scratch, data="x", encoder=dataclasses.replace(from_scratch.encoder, pretrained="y")
    )
    assert set(frozen.encoder.unused_settings()) == {"channels"}
    augment = {"augment.crop", "augment.flip", "augment.color"}
    assert set(frozen.unused_settings()) == {*always, "num_scenes", "encoder.grad_checkpointing", *augment}
    tuned = dataclasses.replace(frozen, train=dataclasses.replace(frozen.train, encoder_lr=1e-4))
    assert set(tuned.unused_settings()) == {*always, "num_scenes"}


def test_a_typed_flag_without_effect_is_refused(capsys):
    with pytest.raises(SystemExit):
        run.main(["image_captioning", "train", "tiny", "--data", "somewhere", "--num-scenes", "8"])
    assert "--num-scenes has no effect" in capsys.readouterr().err


def test_a_sequence_encoder_relates_the_regions():
    sequence = RecurrentEncoderConfig(hidden_dim=16)
    task = Task(config(num_scenes=8, encoder=dataclasses.replace(tiny().encoder, sequence=sequence)))
    examples = task.load("train")
    task.fit(examples)
    memory = task.build_model().eval().encode(task.collate(examples, [0, 1]))
    assert memory.states.shape == (2, 16, 32)  # 4 x 4 regions, two directions
