"""Mistaken folders of pictures, each built here: refused, or named in the audit, and none judged in silence."""

import io
import os
import re
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image, ImageDraw
from timm.data import ImageNetInfo

from harness.errors import ClaimsError
from harness.images.open import ImageSet, open_images
from harness.images.stored import StoredImages
from harness.images.walking import readable
from harness.models.subject import ModelCard, Preprocessing

PLAIN = Preprocessing(size=(24, 24), mean=(0.0,) * 3, std=(1.0,) * 3, crop=1.0, crop_mode="squash")
ORIENTATION = 0x0112
SYNSETS = ("n01440764", "n01443537", "n02119789")
BEAR = "n04399382"  # of ImageNet-1k, and of none of the larger sets that timm knows but one


class Case(NamedTuple):
    """A mistake: who makes it in a folder, the classes of the model, and what is said of it."""

    build: Callable[[Path], Path | None]
    told: str
    classes: int = 3


def card(classes: int) -> ModelCard:
    facts = {"family": "f", "arch": "a", "depth": 2, "width": 4, "grid": None, "prefix": (), "native": "none"}
    return ModelCard(name="model", classes=classes, capabilities=frozenset(), preprocessing=PLAIN, **facts)


def opened(data: Path, classes: int = 3, **asked) -> StoredImages:
    images = open_images(str(data), seed=0, split="test", limit=None, card=card(classes), **asked)
    assert isinstance(images, StoredImages)
    return images


def picture(seed: int, size: tuple[int, int] = (20, 12)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8))


def save(path: Path, seed: int, **how) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed).save(path, **how)
    return path


def classes_of(root: Path, *names: str, each: int = 2) -> Path:
    for place, name in enumerate(names):
        for number in range(each):
            save(root / name / f"{number}.png", place * each + number)
    return root


def table(path: Path, text: str | bytes) -> None:
    path.write_bytes(text.encode() if isinstance(text, str) else text)


def labelled(root: Path, rows: str | bytes = "file,index\na.png,0\nb.png,1\nc.png,2\n") -> Path:
    for seed, name in enumerate("abc"):
        save(root / "images" / f"{name}.png", seed)
    table(root / "labels.csv", rows)
    return root


def boxed(rows: str) -> Callable[[Path], Path]:
    def build(root: Path) -> Path:
        table(labelled(root) / "boxes.csv", f"file,x0,y0,x1,y1\n{rows}b.png,0,0,5,5\nc.png,0,0,5,5\n")
        return root

    return build


def tabled(rows: str | bytes) -> Callable[[Path], Path]:
    return lambda root: labelled(root, rows)


def folders(*names: str) -> Callable[[Path], Path]:
    return lambda root: classes_of(root, *names)


def numbered(*labels: int) -> Callable[[Path], Path]:
    return folders(*map(str, labels))


def beside(name: str, make: Callable[[Path], object]) -> Callable[[Path], Path]:
    """Put something mistaken into the first of three sound classes."""

    def build(root: Path) -> Path:
        make(classes_of(root, "ant", "bee", "cat") / "ant" / name)
        return root

    return build


def stored(name: str, values: np.ndarray, **how) -> Callable[[Path], Path]:
    return beside(name, lambda path: Image.fromarray(values).save(path, **how))


def heard(path: Path) -> None:
    """Bind a socket by a relative name, for whole ones may be too long."""
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def transparent() -> np.ndarray:
    values = np.full((9, 9, 4), 200, dtype=np.uint8)
    values[2:5, 2:5, 3] = 0
    return values


def turned(path: Path, orientation: int, size: tuple[int, int] = (20, 12)) -> None:
    """Save a white spot at the upper left as stored, to be shown turned."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    canvas = Image.new("RGB", size)
    ImageDraw.Draw(canvas).rectangle((0, 0, 7, 3), fill="white")
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(path, exif=exif)


def copied(source: str, *targets: str) -> Callable[[Path], Path]:
    def build(root: Path) -> Path:
        classes_of(root, "ant", "bee", "cat")
        for target in targets:
            (root / target).write_bytes((root / source).read_bytes())
        return root

    return build


def restored(root: Path) -> Path:
    """Store a picture once more, with the same pixels in other bytes."""
    Image.open(classes_of(root, "ant", "bee", "cat") / "ant" / "0.png").save(root / "ant" / "again.bmp")
    return root


def masked(size: tuple[int, int]) -> Callable[[Path], Path]:
    def build(root: Path) -> Path:
        labelled(root)
        (root / "masks").mkdir()
        for name in "abc":
            Image.new("L", size if name == "a" else (20, 12)).save(root / "masks" / f"{name}.png")
        return root

    return build


def packed(root: Path, **members: bytes) -> Path:
    with tarfile.open(root / "set.tar", "w") as tar:
        for place, kind in enumerate(("ant", "bee", "cat")):
            buffer = io.BytesIO()
            picture(place).save(buffer, "PNG")
            members[f"{kind}/0.png"] = buffer.getvalue()
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return root / "set.tar"


def webp_in_a_tar(root: Path) -> Path:
    buffer = io.BytesIO()
    picture(9).save(buffer, "WEBP")
    return packed(root, **{"ant/9.webp": buffer.getvalue()})


def shards(root: Path) -> Path:
    buffer = io.BytesIO()
    picture(9).save(buffer, "PNG")
    return packed(root, **{"ant/0.cls": b"4", "bee/0.cls": b"7", "cat/0.cls": b"999"})


def fifo_as_data(root: Path) -> Path:
    os.mkfifo(root / "pipe.tar")
    return root / "pipe.tar"


def only_heic(root: Path) -> Path:
    for number in range(3):
        (root / f"{number}.heic").write_bytes(b"ftypheic")
    return root


def twins(root: Path) -> Path:
    """Put every class under two folders, one of which is a link to the other."""
    classes_of(root, "bee", "cat", "dog")
    (root / "ant").symlink_to("bee")
    return root


def loop(root: Path) -> Path:
    classes_of(root, "ant", "bee", "cat")
    (root / "ant" / "up").symlink_to("..")
    (root / "ant" / "far").symlink_to(root.parent)
    return root


def selves(root: Path) -> Path:
    classes_of(root, "ant", "bee", "cat")
    (root / "ant" / "x.png").symlink_to("x.png")
    (root / "ant" / "y").symlink_to("z")
    (root / "ant" / "z").symlink_to("y")
    return root


GREY = (np.arange(108, dtype=np.uint16).reshape(9, 12) * 600).astype(np.uint16)
REFUSED = {
    "a FIFO as data": Case(fifo_as_data, "is neither file nor folder"),
    "nothing but HEIC": Case(only_heic, r"no pictures in .* Left out: 0.heic: no decoder for .heic"),
    "indices of ImageNet-1k for 21,843 classes": Case(
        tabled("file,index\na.png,0\nb.png,500\nc.png,999\n"),
        "below 1000.*imagenet-21k.*Cure: add a column wnid",
        21843,
    ),
    "indices of ImageNet-1k for 21,841 classes": Case(
        tabled("file,index\na.png,0\nb.png,500\nc.png,999\n"), "below 1000.*imagenet-22k.*Cure", 21841
    ),
    "indices of ImageNet-1k for 11,221 classes": Case(
        tabled("file,index\na.png,0\nb.png,500\nc.png,999\n"), "below 1000.*miil.*Cure", 11221
    ),
    "folders by ImageNet-1k index for 21,843 classes": Case(
        numbered(0, 7, 12), "below 1000.*Cure: name the folders by synset", 21843
    ),
    "shards by ImageNet-1k index for 21,843 classes": Case(shards, "the shards .* are below 1000", 21843),
    "a synset with the index of ImageNet-1k": Case(
        tabled("file,index,wnid\na.png,0,n01440764\n"),
        "index 0 with wnid 'n01440764', which is class .*another order",
        21843,
    ),
    "folders from 1 to N of N": Case(numbered(1, 2, 3), "numbered from 1 to 3; .*Cure: rename them 0 to 2"),
    "folders from 1 to N of more": Case(numbered(1, 2, 3), "numbered from 1 to 3", 10),
    "folders from 01 to N without head": Case(folders("01", "02"), "numbered from 1 to 2", 0),
    "two folders of one number": Case(folders("1", "01", "0"), "have one number"),
    "a table from 1 to N": Case(
        tabled("file,index\na.png,1\nb.png,2\nc.png,3\n"), "line 4: index 3 .*numbered from 1. The first class is 0"
    ),
    "synsets that the head mostly lacks": Case(
        folders("n00004475", "n00005787", SYNSETS[0]), "of the 3 synsets in .* imagenet-1k knows 1", 1000
    ),
    "a misspelt synset": Case(folders("n01440765", *SYNSETS), "unknown imagenet-1k synset 'n01440765'", 1000),
    "doubled columns": Case(tabled("file,index,index\na.png,0,1\n"), "line 1: column 'index' stands twice"),
    "doubled columns of boxes": Case(
        lambda root: table(labelled(root) / "boxes.csv", "file,x0,y0,x1,y1,x1\na.png,0,0,1,1,9\n"),
        "boxes.csv line 1: column 'x1' stands twice",
    ),
    "UTF-16": Case(tabled("file,index\na.png,0\n".encode("utf-16")), "line 1: the table is in UTF-16; allowed: UTF-8"),
    "UTF-16 without its mark": Case(tabled("file,index\na.png,0\n".encode("utf-16-le")), "line 1: a zero byte"),
    "Latin-1": Case(
        tabled("file,index,name\na.png,0,hen\nb.png,1,cortège\n".encode("latin-1")), "line 3: byte 0xe8 is no UTF-8"
    ),
    "a comma without quotes": Case(
        tabled("file,index,name\na.png,0,egg, big\n"), "line 2: 4 values for 3 columns; a value with a comma"
    ),
    "a quote that never ends": Case(tabled('file,index,name\na.png,0,"egg\n'), "labels.csv line 2: .*end of data"),
    "a box beyond the picture": Case(
        boxed("a.png,3,3,21,9\n"),
        "boxes.csv line 2: box .* reaches beyond 'a.png', .* 20 x 12 pixels; allowed: .*<= 20",
    ),
    "a box outside of the picture": Case(boxed("a.png,30,30,40,40\n"), "line 2: box .* reaches beyond 'a.png'"),
    "an endless box": Case(boxed("a.png,0,0,inf,5\n"), "line 2: box .* reaches beyond 'a.png'"),
    "an empty box": Case(boxed("a.png,5,5,5,9\n"), "line 2: box .* is empty"),
    "a box that is no number": Case(boxed("a.png,0,0,nan,5\n"), "line 2: box .* is empty or starts outside"),
    "a mask of another size": Case(masked((10, 6)), "mask .*a.png has 10 x 6 pixels, its picture 20 x 12"),
    "a mask on its side": Case(masked((12, 20)), "mask .*a.png has 12 x 20 pixels, its picture 20 x 12"),
}
NAMED = {
    "a link to a parent": Case(loop, r"ant/up: a link to '..', which counts at its own place"),
    "links to themselves": Case(selves, "ant/x.png: a link that leads nowhere"),
    "a class that is a link to another": Case(twins, "ant: a link to 'bee', which counts at its own place"),
    "a link to a picture of another class": Case(
        beside("b.png", lambda path: path.symlink_to("../bee/0.png")), "ant/b.png: a link to '../bee/0.png'"
    ),
    "a FIFO": Case(beside("pipe.png", os.mkfifo), "ant/pipe.png: a FIFO, not a file"),
    "a socket": Case(beside("s.png", heard), "ant/s.png: a socket, not a file"),
    "HEIC": Case(beside("x.heic", lambda path: path.write_bytes(b"ftypheic")), "1 .heic without decoder"),
    "a raw photograph": Case(beside("x.NEF", lambda path: path.write_bytes(b"II*")), "no decoder for .nef"),
    "files that are no pictures": Case(beside("x.npy", lambda path: path.touch()), r"1 other files \(.npy\)"),
    "WebP in an archive": Case(webp_in_a_tar, "ant/9.webp: timm's reader of archives takes png, jpg and jpeg alone"),
    "32-bit integers": Case(stored("x.tif", GREY.astype(np.int32)), "x.tif: 32-bit integers have no exact meaning"),
    "floating point": Case(stored("x.tif", GREY.astype(np.float32)), "x.tif: floating-point numbers have no exact"),
    "partly transparent": Case(stored("x.png", transparent()), "x.png: partly transparent"),
    "16 bits with 0 as white": Case(stored("x.tif", GREY, tiffinfo={262: 0}), "x.tif: 16 bits in which 0 is white"),
    "16 bits": Case(stored("x.png", GREY), "1 I;16"),
    "turned by EXIF": Case(beside("x.jpg", lambda path: turned(path, 6)), "1 EXIF orientation 6, turned upright"),
    "a truncated picture": Case(
        beside("x.png", lambda path: path.write_bytes(save(path, 9).read_bytes()[:200])), "1 cannot be decoded"
    ),
    "a page instead of a picture": Case(
        beside("x.jpg", lambda path: path.write_text("<html>404</html>")), "ant/x.jpg: .*cannot identify"
    ),
    "a picture four times": Case(
        copied("ant/0.png", "ant/x.png", "ant/y.png", "ant/z.png"), "ant/z.png: same picture as ant/0.png"
    ),
    "a picture under two labels": Case(
        copied("ant/0.png", "bee/x.png"), "ant/0.png: same picture as bee/x.png, which has label 1, not 0"
    ),
    "the same pixels in other bytes": Case(restored, "1 same picture as another"),
    "a synset that a larger head lacks": Case(
        folders(BEAR, *SYNSETS), f"{BEAR}: 2 pictures of a synset that the head does not know", 21843
    ),
    "a picture of a synset that a larger head lacks": Case(
        tabled(f"file,index,wnid\na.png,{{}},{SYNSETS[0]}\nb.png,849,{BEAR}\n"), f"b.png: of {BEAR}, a synset", 21843
    ),
    "few classes of many": Case(folders(*SYNSETS), "about 3 of the 1000 classes", 1000),
    "a table from 1 on": Case(
        tabled("file,index\na.png,1\nb.png,2\nc.png,3\n"), "labels 1 to 3 and no 0: are they numbered from 1", 10
    ),
}


def build(case: Case, root: Path) -> Path:
    """Make the mistake; a place for the index of the first synset is filled in."""
    made = case.build(root) or root
    labels = root / "labels.csv"
    if labels.exists() and b"{}" in labels.read_bytes():
        index = ImageNetInfo("imagenet-21k").label_names().index(SYNSETS[0])
        labels.write_text(labels.read_text().replace("{}", str(index)))
    return made


def told(images: StoredImages) -> str:
    return "\n".join([images.audit, *images.left_out])


@pytest.mark.parametrize("name", REFUSED)
def test_a_mistaken_folder_is_refused_in_at_most_three_lines(tmp_path, name):
    case = REFUSED[name]
    folder = build(case, tmp_path)
    with pytest.raises(ClaimsError, match=f"(?s){case.told}") as raised:
        opened(folder, case.classes)
    assert len(str(raised.value).splitlines()) <= 3


@pytest.mark.parametrize("name", NAMED)
def test_a_mistaken_folder_is_named_in_the_audit(tmp_path, name):
    case = NAMED[name]
    images = opened(build(case, tmp_path), case.classes)
    assert "\n" not in images.audit
    assert re.search(case.told, told(images)), told(images)
    assert len(set(images.names)) == len(images) <= 7


def shown(images: ImageSet, name: str) -> np.ndarray:
    place = list(images.names).index(name)
    return images.load([place], PLAIN)[0].numpy()


def test_a_sound_folder_is_told_in_one_line_with_nothing_left_out(tmp_path):
    images = opened(classes_of(tmp_path, "ant", "bee", "cat"))
    assert images.audit == (
        "6 pictures, 6 used: 20 x 12 pixels, 6 RGB; classes in sorted order of their folders (torchvision's "
        "convention), not checked against the model"
    )
    assert images.left_out == ()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_sixteen_bits_are_scaled_exactly_and_not_cut_off(tmp_path, suffix):
    eight = np.arange(256, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(eight * 257).save(tmp_path / f"a{suffix}")
    Image.fromarray(eight.astype(np.uint8)).save(tmp_path / "b.png" if suffix != ".png" else tmp_path / "b.bmp")
    images = opened(tmp_path)
    assert len(images) == 1  # the same picture in 8 bits, so that it counts once
    assert "same picture as" in images.left_out[0]


def test_sixteen_bits_are_rounded_to_the_nearest_of_256(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (24, 24), dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    seen = shown(opened(tmp_path), "a.png")
    np.testing.assert_allclose(seen[0] * 255, np.rint(values / 257.0), atol=1e-4)


def test_an_opaque_alpha_channel_and_a_palette_change_nothing(tmp_path):
    plain = picture(3, (24, 24)).quantize(16)
    plain.save(tmp_path / "palette.png")
    plain.convert("RGBA").save(tmp_path / "alpha.png")
    images = opened(tmp_path)
    assert len(images) == 1
    assert shown(images, images.names[0]) * 255 == pytest.approx(np.asarray(plain.convert("RGB")).transpose(2, 0, 1))


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".webp", ".avif", ".tif"])
def test_what_pillow_reads_is_read(tmp_path, suffix):
    if suffix not in readable():
        pytest.skip(f"this Pillow has no decoder for {suffix}")
    picture(1).save(tmp_path / f"a{suffix}", format="JPEG" if suffix in (".jfif", ".jpe") else None)
    assert opened(tmp_path).names == (f"a{suffix}",)


def test_a_link_out_of_the_folder_is_followed_once(tmp_path):
    classes_of(tmp_path / "store", "ant", "bee", "cat")
    chosen = tmp_path / "chosen"
    chosen.mkdir()
    for name in ("ant", "bee"):
        (chosen / name).symlink_to(tmp_path / "store" / name)
    (chosen / "cat").mkdir()
    for name in ("x.png", "y.png"):
        (chosen / "cat" / name).symlink_to(tmp_path / "store" / "cat" / "0.png")
    (tmp_path / "store" / "ant" / "loop").symlink_to(".")
    images = opened(chosen)
    assert sorted(images.names) == ["ant/0.png", "ant/1.png", "bee/0.png", "bee/1.png", "cat/x.png"]
    assert sorted(name.split(":")[0] for name in images.left_out) == ["ant/loop", "cat/y.png"]


def test_a_table_with_a_byte_order_mark_is_read(tmp_path):
    assert len(opened(labelled(tmp_path, "file,index\na.png,0\n".encode("utf-8-sig")))) == 1


def test_the_same_place_of_a_large_head_is_no_mistake(tmp_path):
    """Timm's 21,842 classes begin with those of ImageNet-1k, in its order."""
    assert len(opened(labelled(tmp_path), 21842)) == 3


def marked(root: Path, orientation: int, size: tuple[int, int], upright: bool = False) -> Path:
    """Mark the white spot of a turned picture, in the stored grid or as it is shown."""
    turned(root / "images" / "a.png", orientation, size)
    table(root / "labels.csv", "file,index\na.png,0\n")
    table(root / "boxes.csv", "file,x0,y0,x1,y1\na.png,0,0,8,4\n")
    spot = np.zeros(size[::-1], dtype=np.uint8)
    spot[:4, :8] = 1
    if upright:
        spot = np.rot90(spot, -1)
    (root / "masks").mkdir()
    Image.fromarray(spot).save(root / "masks" / "a.png")
    return root


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(24, 16), (24, 24)])
def test_masks_and_boxes_turn_with_their_picture(tmp_path, orientation, size):
    images = opened(marked(tmp_path, orientation, size))
    seen = images.load([0], PLAIN)[0, 0] > 0.5
    assert (images.masks([0], PLAIN)[0] == seen).float().mean() > 0.97
    rows, columns = seen.any(dim=1).nonzero(), seen.any(dim=0).nonzero()
    corners = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert images.boxes([0], PLAIN)[0][0].tolist() == pytest.approx([float(corner) for corner in corners], abs=1)


def test_a_mask_of_the_upright_size_is_not_turned_again(tmp_path):
    images = opened(marked(tmp_path, 6, (24, 16), upright=True))
    assert (images.masks([0], PLAIN)[0] == (images.load([0], PLAIN)[0, 0] > 0.5)).float().mean() > 0.97


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".png", ".webp"])
def test_every_format_is_turned_once(tmp_path, suffix):
    turned(tmp_path / f"a{suffix}", 6, (64, 32))
    seen = shown(opened(tmp_path), f"a{suffix}")[0] > 0.5
    assert seen[:2, -2:].all()  # the upper left goes to the upper right
    assert not seen[:, :12].any()


def test_copies_do_not_move_the_others_and_have_the_chance_of_one(tmp_path):
    alone = classes_of(tmp_path / "alone", "ant", "bee", "cat", each=5)
    before = opened(alone)
    for number in range(4):
        (alone / "cat" / f"z{number}.png").write_bytes((alone / "ant" / "2.png").read_bytes())
    for number in range(3):
        (alone / "ant" / f"z{number}.png").write_bytes((alone / "ant" / "1.png").read_bytes())
    after = opened(alone)
    assert "ant/2.png" not in after.names  # of two labels, and no one knows which is right
    (alone / "ant" / "2.png").unlink()
    for number in range(4):
        (alone / "cat" / f"z{number}.png").unlink()
    assert opened(alone).names == after.names
    assert set(after.names) == set(before.names) - {"ant/2.png"}


def test_training_pictures_among_the_measured_ones_are_left_out_by_content(tmp_path):
    measured = opened(classes_of(tmp_path / "val", "ant", "bee", "cat"))
    train = classes_of(tmp_path / "train", "ant", "bee", "cat", each=4)  # seeds 0 to 5 are among its 0 to 11
    Image.open(tmp_path / "val" / "ant" / "0.png").save(train / "cat" / "again.bmp")
    images = opened(train, apart=measured)
    assert len(images) == 6
    assert "7 among the measured pictures" in images.audit
    assert any(one.startswith("cat/again.bmp: same picture as ant/0.png, which is measured") for one in images.left_out)
    assert images.fingerprint != opened(train).fingerprint


def test_large_files_are_compared_whole(tmp_path):
    """Both ends and the size agree; one byte in the middle differs."""
    Image.fromarray(np.zeros((99, 99, 3), dtype=np.uint8)).save(tmp_path / "a.bmp")
    content = bytearray((tmp_path / "a.bmp").read_bytes())
    (tmp_path / "b.bmp").write_bytes(content)
    content[len(content) // 2] = 9
    (tmp_path / "c.bmp").write_bytes(content)
    images = opened(tmp_path)
    assert sorted(images.names) == ["a.bmp", "c.bmp"]
    assert images.left_out == ("b.bmp: same picture as a.bmp",)
