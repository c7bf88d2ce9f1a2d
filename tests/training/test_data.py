"""Data sets: one set of images is the same in every format; splits are disjoint and stratified; faults are named."""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet

from modelwright.errors import RecordError, SettingError, UnknownNameError
from modelwright.training import DATA, dataset
from modelwright.training.data.data import Data, assemble, moments
from modelwright.training.data.idx import FASHION
from modelwright.training.data.split import Held, Lazy, split_of
from modelwright.training.data.strata import quotas, stratified

CLASSES = ("cat", "dog")
SIZES = {"train": 12, "validation": 4, "test": 6}


def pictures(split: str, channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Images of (N, 6, 5, C), and labels that alternate."""
    draw = np.random.default_rng(list(SIZES).index(split))
    count = SIZES[split]
    return draw.integers(0, 256, (count, 6, 5, channels), dtype=np.uint8), np.arange(count) % 2


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.astype(np.uint8).tobytes()


def as_folder(root: Path, channels: int) -> None:
    for split in SIZES:
        for number, (pixels, label) in enumerate(zip(*pictures(split, channels), strict=True)):
            place = root / split / CLASSES[label] / f"{number:02}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(png(pixels))
        (root / split / "notes.txt").write_text("not an image")


def as_idx(root: Path, channels: int) -> None:
    root.mkdir(exist_ok=True)
    for split, prefix in zip(SIZES, ("train", "validation", "t10k"), strict=True):
        images, labels = pictures(split, channels)
        (root / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images[:, :, :, 0])))
        (root / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(labels))


def table(split: str, channels: int) -> pa.Table:
    images, labels = pictures(split, channels)
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    cells = [{"bytes": png(pixels), "path": None} for pixels in images]
    told = {"info": {"features": {"label": {"names": CLASSES, "_type": "ClassLabel"}}}}
    schema = pa.schema({"img": kind, "label": pa.int64()}, metadata={"huggingface": json.dumps(told)})
    return pa.table({"img": pa.array(cells, kind), "label": labels}, schema)


def as_parquet(root: Path, channels: int) -> None:
    root.mkdir(exist_ok=True)
    for split in SIZES:
        rows = table(split, channels)
        if split == "train":
            parquet.write_table(rows[:5], root / "train-00000-of-00002.parquet")
            parquet.write_table(rows[5:], root / "train-00001-of-00002.parquet")
        else:
            parquet.write_table(rows, root / f"{split}.parquet")


def as_saved(root: Path, channels: int) -> None:
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))})
    splits = {}
    for split in SIZES:
        images, labels = pictures(split, channels)
        cells = [{"bytes": png(pixels), "path": None} for pixels in images]
        splits[split] = datasets.Dataset.from_dict({"image": cells, "label": labels.tolist()}, features=features)
    datasets.DatasetDict(splits).save_to_disk(str(root))


WRITERS: dict[str, Callable[[Path, int], None]] = {
    "folder": as_folder,
    "idx": as_idx,
    "parquet": as_parquet,
    "saved": as_saved,
}


def contents(data: Data, split: str) -> set[tuple[bytes, int]]:
    part: Held | Lazy = getattr(data, split)
    images, labels = part.batch(torch.arange(len(part)))
    return {(image.numpy().tobytes(), int(label)) for image, label in zip(images, labels, strict=True)}


# --- round trips ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "channels"), [(kind, c) for kind in WRITERS for c in (1, 3) if (kind, c) != ("idx", 3)]
)
def test_what_was_written_is_read_in_every_format(kind: str, channels: int, tmp_path: Path) -> None:
    WRITERS[kind](tmp_path / "set", channels)
    data = dataset(str(tmp_path / "set"))
    assert data.shape == (channels, 6, 5)
    assert data.classes == (("0", "1") if kind == "idx" else CLASSES)
    for split in SIZES:
        images, labels = pictures(split, channels)
        wanted = {
            (pixels.transpose(2, 0, 1).tobytes(), int(label)) for pixels, label in zip(images, labels, strict=True)
        }
        assert contents(data, split) == wanted
    every = pictures("train", channels)[0] / 255
    assert data.mean == pytest.approx(every.mean((0, 1, 2)))
    assert data.std == pytest.approx(every.std((0, 1, 2)))


def test_the_hubs_loader_reads_what_a_folder_of_parquet_files_holds(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    as_parquet(tmp_path / "set", 3)
    found, direct = dataset(f"hf:{tmp_path / 'set'}"), dataset(str(tmp_path / "set"))
    assert [contents(found, split) == contents(direct, split) for split in SIZES] == [True, True, True]


def test_images_may_stand_in_files_beside_the_table(tmp_path: Path) -> None:
    images, labels = pictures("train")
    for number, pixels in enumerate(images):
        (tmp_path / f"{number}.png").write_bytes(png(pixels))
    cells = [{"bytes": None, "path": f"{number}.png"} for number in range(len(images))]
    parquet.write_table(pa.table({"image": cells, "label": labels}), tmp_path / "train.parquet")
    parquet.write_table(table("test", 1).rename_columns(["image", "label"]), tmp_path / "test.parquet")
    data = dataset(str(tmp_path))
    assert len(data.train) + len(data.validation) == len(images)
    assert contents(data, "train") | contents(data, "validation") == {
        (pixels[:, :, 0].tobytes(), int(label)) for pixels, label in zip(images, labels, strict=True)
    }


def test_fashion_mnist_knows_its_ten_classes(tmp_path: Path) -> None:
    labels = np.arange(40) % 10
    for prefix in ("train", "t10k"):
        images = np.random.default_rng(0).integers(0, 256, (40, 28, 28))
        (tmp_path / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (tmp_path / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    data = dataset("fashion-mnist", folder=tmp_path)
    assert (data.classes, data.shape, len(data.test)) == (FASHION, (1, 28, 28), 40)
    assert torch.bincount(data.validation.labels).max() <= 1


def test_the_digits_are_scikit_learns(tmp_path: Path) -> None:
    data = dataset("digits")
    assert (len(data.train) + len(data.validation) + len(data.test), data.shape) == (1797, (1, 8, 8))
    splits = [contents(data, split) for split in SIZES]
    assert set.intersection(splits[0], splits[1]) == set.intersection(splits[0], splits[2]) == set()
    levels = torch.unique(torch.cat([data.train.batch(torch.arange(len(data.train)))[0].flatten()]))
    assert levels.tolist() == [round(level * 255 / 16) for level in range(17)]
    assert dataset("digits").fingerprint == data.fingerprint != dataset("digits", seed=1).fingerprint


# --- splits -----------------------------------------------------------------------------------------------------------


@given(sizes=st.lists(st.integers(0, 50), min_size=1, max_size=8).filter(any), data=st.data())
def test_each_class_gets_its_share(sizes: list[int], data: st.DataObject) -> None:
    total = sum(sizes)
    count = data.draw(st.integers(0, total))
    found = quotas(sizes, count)
    assert sum(found) == count
    assert all(0 <= quota <= size for quota, size in zip(found, sizes, strict=True))
    present = [size for size in sizes if size]
    if count >= len(present):
        assert all(quota for quota, size in zip(found, sizes, strict=True) if size)
    if all(size * count >= total for size in present):
        assert all(abs(quota - size * count / total) < 1 for quota, size in zip(found, sizes, strict=True))


@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=60), share=st.floats(0, 1), seed=st.integers(0, 9))
def test_drawn_and_left_are_a_partition(labels: list[int], share: float, seed: int) -> None:
    count = round(share * len(labels))
    drawn, left = stratified(torch.tensor(labels), count, seed)
    assert len(drawn) == count
    assert sorted(drawn.tolist() + left.tolist()) == list(range(len(labels)))


def test_a_rare_class_stays_in_training() -> None:
    labels = torch.tensor([0] * 30 + [1])
    data = assemble("rare", CLASSES, (1, 1, 1), {"train": Held(torch.zeros(31, 1, 1, 1, dtype=torch.uint8), labels)}, 0)
    assert 1 in data.train.labels


def test_a_subset_is_stratified_and_normalised_as_the_whole() -> None:
    data = dataset("digits")
    part = data.subset(train=100, validation=50, seed=3)
    assert (len(part.train), len(part.validation), len(part.test)) == (100, 50, len(data.test))
    assert contents(part, "train") < contents(data, "train")
    assert torch.bincount(part.train.labels).min() >= 9
    assert (part.mean, part.std) == (data.mean, data.std)
    assert part.fingerprint != data.fingerprint


@pytest.mark.parametrize("count", [0, 2000])
def test_a_subset_of_no_such_size_is_refused(count: int) -> None:
    with pytest.raises(SettingError, match="train: a subset must have 1 to 1298 images, but got"):
        dataset("digits").subset(train=count)


# --- images that do not fit memory ------------------------------------------------------------------------------------


def test_a_split_that_is_too_large_to_hold_reads_the_same_images() -> None:
    images, labels = pictures("train", 3)
    numbers = torch.from_numpy(labels)
    held = split_of(images.__getitem__, numbers, (3, 6, 5))
    lazy = split_of(images.__getitem__, numbers, (3, 6, 5), memory=images.nbytes - 1)
    assert (type(held), type(lazy)) == (Held, Lazy)
    parts = torch.split(torch.randperm(12), 5)
    for left, right in zip(held.batches(parts), lazy.batches(parts), strict=True):
        assert torch.equal(left[0], right[0])
        assert torch.equal(left[1], right[1])
    some = torch.tensor([7, 1, 3])
    assert torch.equal(held.take(some).batch(torch.tensor([2, 0]))[0], lazy.take(some).batch(torch.tensor([2, 0]))[0])
    assert moments(held) == moments(lazy)


def test_a_broken_image_is_named_when_its_batch_is_read_ahead() -> None:
    def read(number: int) -> np.ndarray:
        if number == 3:
            raise RecordError("an image must be whole", where="image 3")
        return np.zeros((1, 1, 1), np.uint8)

    lazy = split_of(read, torch.zeros(6, dtype=torch.int64), (1, 1, 1), memory=0)
    batches = lazy.batches(torch.split(torch.arange(6), 2))
    assert len(next(batches)[0]) == 2
    with pytest.raises(RecordError, match="image 3"):
        next(batches)


def test_a_channel_that_never_changes_is_not_divided_by_zero() -> None:
    images = torch.full((4, 1, 2, 2), 51, dtype=torch.uint8)
    assert moments(Held(images, torch.zeros(4, dtype=torch.int64))) == (pytest.approx((0.2,)), (1.0,))


# --- faults -----------------------------------------------------------------------------------------------------------


def test_an_unknown_name_is_told_its_neighbours() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'digits'"):
        dataset("digit")
    assert {"digits", "fashion-mnist"} <= DATA.keys()


@pytest.mark.parametrize(
    ("what", "folder", "rule"),
    [
        ("./nowhere", None, "the folder must exist"),
        (__file__, None, "a data set must be a folder"),
        ("fashion-mnist", None, "needs the folder of its files"),
        (str(Path(__file__).parent), Path(), "belongs to a data set that has a name of its own"),
    ],
)
def test_a_place_that_holds_no_data_set_is_refused(what: str, folder: Path | None, rule: str) -> None:
    with pytest.raises((RecordError, SettingError), match=rule):
        dataset(what, folder=folder)


@pytest.mark.parametrize("kept", [0, 3, 10, 40, 100])
def test_a_gzip_file_that_is_cut_off_is_named(kept: int, tmp_path: Path) -> None:
    as_idx(tmp_path, 1)
    file = tmp_path / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(RecordError, match=r"train-images-idx3-ubyte\.gz: (the file must be whole|an idx file)"):
        dataset(str(tmp_path))


def idx_fault(root: Path, fault: str) -> None:
    images, labels = pictures("train")
    if fault == "not gzip":
        (root / "train-images-idx3-ubyte.gz").write_bytes(idx(images[:, :, :, 0]))
    elif fault == "labels for images":
        (root / "train-labels-idx1-ubyte").write_bytes(idx(images[:, :, :, 0]))
    elif fault == "one label short":
        (root / "train-labels-idx1-ubyte").write_bytes(idx(labels[1:]))
    elif fault == "too long":
        (root / "train-labels-idx1-ubyte").write_bytes(idx(labels) + b"\0")
    elif fault == "gap":
        (root / "train-labels-idx1-ubyte").write_bytes(idx(labels * 7))
    elif fault == "out of range":
        (root / "t10k-labels-idx1-ubyte").write_bytes(idx(np.full(6, 9)))
    elif fault == "one class":
        (root / "train-labels-idx1-ubyte").write_bytes(idx(labels * 0))
    elif fault == "another size":
        (root / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(np.zeros((6, 7, 5)))))
    elif fault == "empty":
        (root / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(np.zeros((0, 6, 5)))))
        (root / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(0)))
    elif fault == "no labels":
        (root / "train-labels-idx1-ubyte").unlink()
    elif fault == "no train":
        (root / "train-labels-idx1-ubyte").unlink()
        (root / "train-images-idx3-ubyte.gz").unlink()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("not gzip", "train-images-idx3-ubyte.gz: the file must be whole and readable"),
        ("labels for images", "must begin with 00 00 08 01, but got '00 00 08 03'"),
        ("one label short", "one label for each of the 12 images, but got 11"),
        ("too long", "after the header there must be 12 = 12 bytes, but got '13 or more'"),
        ("gap", "each of the 8 classes must have a training image, but got 'none of class 1'"),
        ("out of range", "test, image 0: a label must be from 0 to 1, but got 9"),
        ("one class", "there must be two classes at least"),
        ("another size", "all images must have the 6x5 pixels of train, but got '7x5'"),
        ("empty", "test: a split must hold images, but got 0"),
        ("no labels", "images and labels must both be there"),
        ("no train", "must hold train-images-idx3-ubyte"),
    ],
)
def test_a_fault_in_idx_files_is_named(fault: str, told: str, tmp_path: Path) -> None:
    as_idx(tmp_path, 1)
    idx_fault(tmp_path, fault)
    with pytest.raises(RecordError) as caught:
        dataset(str(tmp_path))
    assert told in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def folder_fault(root: Path, fault: str) -> None:
    place = root / "train" / "dog" / "01.png"
    if fault == "cut off":
        place.write_bytes(place.read_bytes()[:60])
    elif fault == "no image":
        place.write_text("<html>404</html>")
    elif fault == "another size":
        place.write_bytes(png(np.zeros((6, 6, 1), np.uint8)))
    elif fault == "coloured":
        place.write_bytes(png(np.zeros((6, 5, 3), np.uint8)))
    elif fault == "16 bits":
        Image.fromarray(np.zeros((6, 5), np.uint16)).save(place)
    elif fault == "strange class":
        (root / "test" / "cow").mkdir()
    elif fault == "empty class":
        for path in (root / "train" / "dog").iterdir():
            path.unlink()
    elif fault == "nothing":
        for path in root.rglob("*.png"):
            path.unlink()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("cut off", "01.png: an image must be whole"),
        ("no image", "01.png: an image must be whole and of a format that Pillow reads"),
        ("another size", "01.png: all images must be 6x5 pixels, grey, as the first training image is, but got '6x6"),
        (
            "coloured",
            "01.png: all images must be 6x5 pixels, grey, as the first training image is, but got '6x5 pixels, c",
        ),
        ("16 bits", "01.png: an image must have 8 bits a channel"),
        ("strange class", "the class folders must be those of train: cat, dog, but got 'cow'"),
        ("empty class", "each of the 2 classes must have a training image, but got 'none of class dog'"),
        ("nothing", "the folder must hold a folder of images for each class"),
    ],
)
def test_a_fault_in_a_folder_of_images_is_named(fault: str, told: str, tmp_path: Path) -> None:
    as_folder(tmp_path, 1)
    folder_fault(tmp_path, fault)
    with pytest.raises(RecordError) as caught:
        dataset(str(tmp_path))
    assert told in str(caught.value)


def test_a_grey_image_among_coloured_ones_becomes_coloured(tmp_path: Path) -> None:
    as_folder(tmp_path, 3)
    grey = np.arange(30, dtype=np.uint8).reshape(6, 5, 1)
    (tmp_path / "train" / "dog" / "99.png").write_bytes(png(grey))
    images, _ = dataset(str(tmp_path)).train.batch(torch.tensor([12]))
    assert torch.equal(images[0], torch.from_numpy(grey[:, :, 0]).expand(3, 6, 5))


def parquet_fault(root: Path, fault: str) -> None:
    rows = table("test", 3)
    place = root / "test.parquet"
    if fault == "cut off":
        place.write_bytes(place.read_bytes()[:-9])
    elif fault == "no labels":
        parquet.write_table(rows.drop_columns("label"), root / "train-00000-of-00002.parquet")
        (root / "train-00001-of-00002.parquet").unlink()
    elif fault == "null label":
        parquet.write_table(rows.set_column(1, "label", pa.array([0, 1, None, 1, 0, 1])), place)
    elif fault == "words":
        parquet.write_table(rows.set_column(1, "label", pa.array(list("abcdef"))), place)
    elif fault == "negative":
        parquet.write_table(rows.set_column(1, "label", pa.array([0, 1, 0, -1, 0, 1])), place)
    elif fault == "negative, in train":
        parquet.write_table(rows.set_column(1, "label", pa.array([0, 1, 0, -1, 0, 1])), root / "train.parquet")
        for path in (place, root / "validation.parquet", *root.glob("train-*")):
            path.unlink()
    elif fault == "huge":
        bare = rows.replace_schema_metadata(None)
        parquet.write_table(bare.set_column(1, "label", pa.array([0, 1, 0, 10**12, 0, 1])), root / "train.parquet")
        for path in root.glob("train-*"):
            path.unlink()
    elif fault == "broken image":
        cells = rows.column("img").to_pylist()
        cells[4]["bytes"] = b"no image"
        parquet.write_table(rows.set_column(0, "img", pa.array(cells)), place)
    elif fault == "no train":
        for path in root.glob("train*"):
            path.unlink()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("cut off", "test.parquet: the file must be whole and in Parquet format"),
        ("no labels", "a table must have one column of images"),
        ("null label", "test: each image must have a whole number in column label, but got '1 without one'"),
        ("words", "test: each image must have a whole number in column label, but got 'string'"),
        ("negative", "test, image 3: a label must be from 0 to 1, but got -1"),
        ("negative, in train", "train, image 3: a label must be from 0 to 1, but got -1"),
        ("huge", "train: the labels of 6 images must be 0, 1, 2 and so on, without gaps, but got 1000000000000"),
        ("broken image", "test, image 4: an image must be whole"),
        ("no train", "there must be a file train.parquet or train-*.parquet"),
    ],
)
def test_a_fault_in_parquet_files_is_named(fault: str, told: str, tmp_path: Path) -> None:
    as_parquet(tmp_path, 3)
    parquet_fault(tmp_path, fault)
    with pytest.raises(RecordError) as caught:
        dataset(str(tmp_path))
    assert told in str(caught.value)


def test_a_saved_folder_that_lost_a_file_is_named(tmp_path: Path) -> None:
    as_saved(tmp_path, 1)
    next((tmp_path / "train").glob("*.arrow")).unlink()
    with pytest.raises(RecordError, match=r"must be one that datasets\.save_to_disk wrote"):
        dataset(str(tmp_path))


def test_a_single_saved_set_is_training_images(tmp_path: Path) -> None:
    as_saved(tmp_path, 1)
    data = dataset(str(tmp_path / "train"))
    assert len(data.train) + len(data.validation) + len(data.test) == SIZES["train"]
