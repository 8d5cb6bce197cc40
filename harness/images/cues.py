"""Pictures of two cues that disagree: what shape and what texture they show, by the names of their files.

The sixteen categories and the classes of ImageNet-1k in each are those of arXiv 1811.12231. Its pictures are called
`cat/cat7-elephant1.png`: the shape of a cat with the texture of an elephant.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath

import numpy as np
from jaxtyping import Int

NAME = re.compile(r"([a-z]+)\d*-([a-z]+)\d*")
_DOGS_LEFT_OUT = {192, 204, 227, 242, 251, 258, 260, 264}
_BIRDS = (8, *range(10, 17), *range(18, 21), *range(22, 25), *range(80, 84), *range(87, 97), *range(98, 101))
CLASSES_OF: Mapping[str, tuple[int, ...]] = {
    "airplane": (404,),
    "bear": (294, 295, 296, 297),
    "bicycle": (444, 671),
    "bird": (*_BIRDS, *range(127, 134), *range(135, 146)),
    "boat": (472, 554, 625, 814, 914),
    "bottle": (440, 720, 737, 898, 899, 901, 907),
    "car": (436, 511, 817),
    "cat": tuple(range(281, 287)),
    "chair": (423, 559, 765, 857),
    "clock": (409, 530, 892),
    "dog": tuple(number for number in range(152, 269) if number not in _DOGS_LEFT_OUT),
    "elephant": (385, 386),
    "keyboard": (508, 878),
    "knife": (499,),
    "oven": (766,),
    "truck": (555, 569, 656, 675, 717, 734, 864, 867),
}
CATEGORIES = tuple(CLASSES_OF)


def cues_of(names: Iterable[str]) -> Int[np.ndarray, "picture cue"] | None:
    """Read shape and texture of each picture, as numbers of CATEGORIES, from its name; None if any name tells none."""
    found: list[tuple[int, int]] = []
    for name in names:
        told = NAME.fullmatch(PurePath(name).stem)
        if told is None or not {*told.groups()} <= set(CATEGORIES):
            return None
        shape, texture = map(CATEGORIES.index, told.groups())
        found.append((shape, texture))
    return np.array(found, dtype=np.int64) if found else None


def are_cues(folders: Sequence[str], names: Sequence[str]) -> bool:
    """Tell whether folders are categories, and files in them named by two cues."""
    return set(folders) <= set(CATEGORIES) and cues_of(names) is not None
