"""A real pretrained ViT on real pictures, where they are at hand (CLAIMS_REAL_DATA names their folder)."""

import os

import numpy as np
import pytest
import torch

from harness.images.open import open_images
from harness.interventions.intervention import NONE, shuffle_cls
from harness.measurement.forward import measure_chunk
from harness.measurement.loaded_model import LoadedModel
from harness.measurement.prefix_tree import Bill, Request
from harness.measurement.settings import Settings
from harness.models.zoo import resolve
from harness.readouts.own_answer import Accuracy
from harness.results.measurements import Store

REAL = os.environ.get("CLAIMS_REAL_DATA")
CHECKPOINT = "weights/vit_tiny_patch16_224.in1k.fp32.safetensors,arch=vit_tiny_patch16_224,name=real_vit_tiny"

pytestmark = pytest.mark.skipif(REAL is None, reason="CLAIMS_REAL_DATA is not set: no real pictures here")


@pytest.fixture(scope="module")
def bench() -> LoadedModel:
    entry = resolve(f"{REAL}/{CHECKPOINT}")
    images = open_images(f"{REAL}/imagenet1k-sample-1000", seed=0, split="test", limit=None, card=entry.card)
    return LoadedModel(entry.load(), images, Store(None), Settings(batch_size=50))


def rows(bench: LoadedModel, wanted: list[Request], chunks: int) -> np.ndarray:
    measured = []
    for positions in bench.grid[:chunks]:
        made = measure_chunk(bench.subject, bench.load(positions), bench.chunk(positions), wanted, {}, Bill())
        measured.append([row.numbers for row in made])
    return np.concatenate(measured, axis=1)


def test_the_pretrained_vit_tiny_has_its_known_accuracy(bench):
    (clean,) = rows(bench, [Request(intervention=NONE, readout=Accuracy(), claimants=frozenset({"a"}))], chunks=20)
    assert len(clean) == 1000
    assert round(clean.mean(), 3) == 0.822


def test_the_shuffle_sweep_equals_hooks_on_the_plain_model(bench):
    positions = bench.grid[0]
    images, chunk = bench.load(positions), bench.chunk(positions)
    sweep = [
        Request(intervention=shuffle_cls(block), readout=Accuracy(), claimants=frozenset({"a"}))
        for block in range(bench.subject.card.depth)
    ]
    merged = [row.numbers for row in measure_chunk(bench.subject, images, chunk, sweep, {}, Bill())]

    def exchange(module, inputs, output):
        return torch.cat([output[chunk.donors, :1], output[:, 1:]], dim=1)

    model = bench.subject.model
    for block, numbers in enumerate(merged):
        handle = model.blocks[block].register_forward_hook(exchange)
        with torch.inference_mode():
            right = model(images).argmax(dim=1) == chunk.labels
        handle.remove()
        assert np.array_equal(numbers, right.double().numpy()), f"block {block}"
