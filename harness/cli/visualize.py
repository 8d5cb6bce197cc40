"""`claims visualize`: contact sheets of units, optimized pictures beside the pictures that drive them most."""

import argparse
import time
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ClaimsError
from harness.files import write_whole
from harness.report.escaping import file_name
from harness.running.options import DIGITS

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from harness.models.sites import Site
    from harness.models.subject import ModelCard
    from harness.readouts.featvis.optimize import Recipe
    from harness.readouts.members import MemberContext

NAME = "visualize"
HELP = "draw what single units respond to: optimized pictures, top pictures and where the unit is active there"
LEAST = {"pictures": 1, "steps": 1, "copies": 1, "threads": 1, "seed": 0}  # smallest value of each option
SITES = ("units", "query", "key", "value")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    parser.add_argument("--model", required=True, help="any name that --model of a run takes")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for one PNG per block")
    parser.add_argument("--layers", default="all", help="blocks from 0 on, as 0,3,6 or 2-5 (default: all)")
    parser.add_argument("--units", default="16", help="units per block, at random, or which: 3,17 (default 16)")
    parser.add_argument("--site", choices=SITES, default="units", help="which features of a block (default: units)")
    parser.add_argument("--data", help="pictures to find the top ones among (default: embedded)")
    parser.add_argument("--pictures", type=int, default=1000, help="most pictures to look at (default 1000)")
    parser.add_argument("--steps", type=int, help="steps of the optimization (default: by the size of the input)")
    parser.add_argument("--copies", type=int, help="augmented copies per step (default: by the size of the input)")
    parser.add_argument("--ablated", action="store_true", help="beside each picture one without any regularizer")
    parser.add_argument("--device", default="cpu", help="torch device")
    parser.add_argument("--threads", type=int, help="processor threads (default: torch's)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of units and of every picture's noise")
    parser.add_argument("--cache", type=Path, default=Path(".claims"), help="folder of finished pictures")


def run(asked: argparse.Namespace) -> int:
    """Write one sheet per block and say how long each took."""
    import torch

    from harness.readouts.units.activations import Table, make_tables
    from harness.running.preflight import check_device

    for option in LEAST:
        if (value := getattr(asked, option)) is not None and value < LEAST[option]:
            raise ClaimsError(f"{value} in --{option}; allowed: whole numbers from {LEAST[option]} on")
    check_device(asked.device)
    if asked.threads:
        torch.set_num_threads(asked.threads)
    place = _place(asked)
    card = place.subject.card
    if reason := card.missing(("units",) if asked.site == "units" else ("units", "qkv")):
        raise ClaimsError(f"{asked.model!r} has no {asked.site}: {reason}")
    blocks, recipe = _blocks(asked.layers, card), _recipe(asked, card)
    start = time.perf_counter()
    make_tables(place, [Table(block, asked.site) for block in blocks])
    print(f"{place.pictures} pictures looked at in {time.perf_counter() - start:.1f} s; {recipe}", flush=True)
    for block in blocks:
        start = time.perf_counter()
        drawn, count = _draw(place, block, asked.site, asked.units, recipe, asked.ablated)
        file = asked.out / f"{file_name(card.name)}-{asked.site}-block{block:02}.png"
        write_whole(file, _png(drawn), "the sheet")
        print(f"{file}: {count} {asked.site} in {time.perf_counter() - start:.1f} s", flush=True)
    return 0


def _png(drawn: "Image.Image") -> bytes:
    target = BytesIO()
    drawn.save(target, "PNG")
    return target.getvalue()


def _draw(
    place: "MemberContext", block: int, site: "Site", text: str, recipe: "Recipe", ablated: bool
) -> "tuple[Image.Image, int]":
    from harness.readouts.featvis.readouts import pictures_of
    from harness.readouts.featvis.sheets import sheet

    units = _units(text, place.subject.unit_shape(block).units if site == "units" else place.subject.card.width, place)
    optimized = [("optimized", pictures_of(place, block, units, recipe, site))]
    if ablated:
        optimized.append(("ablated", pictures_of(place, block, units, recipe.ablated, site)))
    return sheet(place, block, site, units.tolist(), optimized), len(units)


def _place(asked: argparse.Namespace) -> "MemberContext":
    from harness.images.open import open_images
    from harness.measurement.loaded_model import LoadedModel
    from harness.measurement.settings import Settings
    from harness.models.zoo import resolve
    from harness.results.measurements import Store

    entry = resolve(asked.model)
    images = open_images(asked.data, seed=asked.seed, split="test", limit=asked.pictures, card=entry.card)
    settings = Settings(seed=asked.seed, device=asked.device)
    bench = LoadedModel(entry.load(asked.device), images, Store(asked.cache), settings)
    return bench.place("given", min(asked.pictures, len(images)), lambda blocks: None)


def _recipe(asked: argparse.Namespace, card: "ModelCard") -> "Recipe":
    from dataclasses import replace

    from harness.readouts.featvis.optimize import Recipe

    recipe = Recipe.fit_for(card.preprocessing.size)
    if asked.steps:
        recipe = replace(recipe, steps=asked.steps)
    return replace(recipe, views=replace(recipe.views, copies=asked.copies)) if asked.copies else recipe


def _blocks(text: str, card: "ModelCard") -> list[int]:
    if text == "all":
        return list(range(card.depth))
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        start, end = _number(first, "--layers"), _number(last or first, "--layers")
        if outside := [block for block in dict.fromkeys((start, end)) if block >= card.depth]:
            raise ClaimsError(f"blocks {outside} in --layers; {card.name} has blocks 0 to {card.depth - 1}")
        found += range(start, end + 1)
    if not found:
        raise ClaimsError(f"{text!r} in --layers names no block; allowed: 0,3,6 or 2-5, from low to high")
    return list(dict.fromkeys(found))


def _units(text: str, count: int, place: "MemberContext") -> "np.ndarray":
    import numpy as np

    if "," not in text:
        order = np.random.Generator(np.random.PCG64(place.seed)).permutation(count)
        return np.sort(order[: _number(text, "--units")])
    chosen = np.array([_number(part, "--units") for part in text.split(",") if part])
    if not len(chosen):
        raise ClaimsError(f"{text!r} in --units names no unit; allowed: a number of them, or which: 3,17")
    if (chosen >= count).any():
        raise ClaimsError(f"units {chosen[chosen >= count].tolist()} in --units; allowed: 0 to {count - 1}")
    return chosen


def _number(text: str, where: str) -> int:
    if not text.isdecimal() or len(text) > DIGITS:
        raise ClaimsError(f"{text!r:.60} in {where}; allowed: whole numbers from 0 on, of {DIGITS} digits at most")
    return int(text)
