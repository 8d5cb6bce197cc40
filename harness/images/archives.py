"""Tar files: class folders in a tar, one tar per class, tars in a tar, WebDataset shards (KEY.jpg beside KEY.cls)."""

import io
import re
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from timm.data.readers.reader_image_in_tar import ReaderImageInTar

from harness.errors import ClaimsError, NotApplicable
from harness.images.decoding import Encoded
from harness.images.folders import SPLIT_FOLDERS
from harness.images.labels import check_numbers, class_order
from harness.images.listing import Listing
from harness.images.procedural import Split
from harness.images.walking import PICTURES, LeftOut, no_decoder, readable
from harness.models.subject import ModelCard


def list_archive(path: Path, name: str, split: Split | None, card: ModelCard) -> Listing:
    """List a tar or a folder of tars; a tar without folders, .cls files and sub-tars has no labels.

    Shards are chosen by the words in their file names, unless `split` is None: then the folder is of one split.

    Raises:
        ClaimsError: an archive is broken or empty, or its classes do not fit the model.
        NotApplicable: train pictures are asked for, and no shard is named so.
    """
    tars = sorted(path.glob("*.tar")) if path.is_dir() else [path]
    if odd := [tar for tar in tars if not tar.is_file()]:
        raise ClaimsError(f"{odd[0]} is no regular file, so it is not opened; allowed among archives: files")
    try:
        members = {tar: _members(tar) for tar in tars}
        if any(member.name.endswith(".cls") for found in members.values() for member in found):
            return _shards({tar: members[tar] for tar in _of_split(tars, split)}, name, card)
        if split == "train":
            raise NotApplicable(f"{str(path)!r} has no train pictures: there is no sub-folder train/")
        reader = ReaderImageInTar(str(path), cache_tarinfo=False)
    except (tarfile.TarError, ValueError) as error:
        raise ClaimsError(f"no pictures (png, jpg, jpeg) can be read from the archive {path}: {error}") from error
    read = {_place(sample, path) for sample in reader.samples}
    return _classes_in_tars(reader, path, name, card, _unread(members, read))


def _classes_in_tars(
    reader: ReaderImageInTar, path: Path, name: str, card: ModelCard, unread: Sequence[LeftOut]
) -> Listing:
    folders = [reader.class_idx_to_name[target] for target in reader.targets.tolist()]
    names = tuple("/".join(_member_path(sample)) for sample in reader.samples)
    opened = _opener(reader.samples, path)
    if set(folders) == {""}:
        note = "no labels: a flat archive"
        return Listing(name=name, names=names, open=opened, note=note, left_out=tuple(unread))
    order = class_order(set(folders), card, str(path))
    known = [entry for entry, folder in enumerate(folders) if folder not in order.strangers]
    return Listing(
        name=name,
        names=tuple(names[entry] for entry in known),
        open=lambda entry: opened(known[entry]),
        labels=np.array([order.index[folders[entry]] for entry in known], dtype=np.int64),
        classes=order.classes,
        class_names=order.names,
        note=order.note,
        left_out=(*unread, *order.left_out(folders)),
    )


def _unread(members: Mapping[Path, Sequence[tarfile.TarInfo]], read: set[tuple[str, int]]) -> list[LeftOut]:
    """Name the pictures that timm's reader of archives passes over; archives within archives are left to it."""
    return [
        LeftOut(member.name, "timm's reader of archives takes png, jpg and jpeg alone", "not read from an archive")
        for tar, found in members.items()
        for member in found
        if Path(member.name).suffix.lower() in PICTURES and (tar.name, member.offset_data) not in read
    ]


def _place(sample: np.ndarray, path: Path) -> tuple[str, int]:
    member, tar, child = sample
    return (Path(tar or path).name, -1 if child else member.offset_data)


def _shards(members: dict[Path, list[tarfile.TarInfo]], name: str, card: ModelCard) -> Listing:
    """List WebDataset shards by random access; a picture's label is the number in KEY.cls."""
    places, names, labels = [], [], []
    unread: list[LeftOut] = []
    for tar, found in members.items():
        classes = _numbers(tar, found, card)
        for member in found:
            suffix = Path(member.name).suffix.lower()
            if suffix in PICTURES and suffix not in readable():
                unread.append(no_decoder(member.name, suffix))
            elif suffix in PICTURES:
                place = f"{member.name} in {tar}"
                key = _key(member)
                if key not in classes:
                    raise ClaimsError(f"picture {place} has no label {key}.cls beside it")
                places.append((tar, member))
                names.append(f"{tar.name}/{member.name}")
                labels.append(classes[key])
    check_numbers(labels, card, f"the shards of {name}", "give one folder per synset, or labels.csv with wnid")
    return Listing(
        name=name,
        names=tuple(names),
        open=lambda entry: _member_bytes(*places[entry]),
        labels=np.array(labels, dtype=np.int64),
        classes=card.classes or max(labels, default=0) + 1,
        note="WebDataset shards, labels are their numbers, not checked against the model",
        left_out=tuple(unread),
    )


def _numbers(tar: Path, members: Sequence[tarfile.TarInfo], card: ModelCard) -> dict[str, int]:
    numbers = {}
    for member in members:
        if member.name.endswith(".cls"):
            value = _member_bytes(tar, member).read().decode(errors="replace").strip()
            allowed = f"0 to {card.classes - 1}" if card.classes else "0 and above"
            if not value.isdecimal() or (card.classes and int(value) >= card.classes):
                raise ClaimsError(f"label {value!r} of {member.name} in {tar}; allowed for {card.name!r}: {allowed}")
            numbers[_key(member)] = int(value)
    return numbers


def _of_split(tars: Sequence[Path], split: Split | None) -> Sequence[Path]:
    """Keep the shards whose file names carry a word for the split; all are test pictures if none carries any."""
    words = {tar: set(re.split(r"[-_.]", tar.stem)) for tar in tars}
    named = {kind: [tar for tar in tars if words[tar] & {*SPLIT_FOLDERS[kind]}] for kind in SPLIT_FOLDERS}
    if split is None or (split == "test" and not any(named.values())):
        return tars
    shown = ", ".join(tar.name for tar in tars[:3])
    if not named[split] and split == "train":
        raise NotApplicable(f"no train pictures among the shards {shown}, ...")
    if not named[split]:
        raise ClaimsError(f"the shards {shown}, ... are train pictures; none is named {SPLIT_FOLDERS['test']}")
    return named[split]


def _members(tar: Path) -> list[tarfile.TarInfo]:
    with tarfile.open(tar, "r:") as archive:
        return [member for member in archive if member.isfile()]


def _member_bytes(tar: Path, member: tarfile.TarInfo, start: int = 0) -> Encoded:
    """Read a member by its place in the file: any thread, no handle kept; `start` is that of an inner tar."""
    with tar.open("rb") as file:
        file.seek(start + member.offset_data)
        return io.BytesIO(file.read(member.size))


def _key(member: tarfile.TarInfo) -> str:
    folder, _, file = member.name.rpartition("/")
    return f"{folder}/{file.partition('.')[0]}"


def _member_path(sample: np.ndarray) -> list[str]:
    member, tar, child = sample
    return [part for part in (tar, child and child.name, member.name) if part]


def _opener(samples: np.ndarray, path: Path) -> Callable[[int], Encoded]:
    def opened(entry: int) -> Encoded:
        member, tar, child = samples[entry]
        return _member_bytes(path / tar if tar else path, member, child.offset_data if child else 0)

    return opened
