"""What reading the class on every token of every block costs beside the forward pass, at published sizes.

Run with `pytest tests/test_bench_identifiability.py --benchmark-only`; nothing asserts a time. That it is one forward
pass is asserted in test_identifiability_claims.py.
"""

import time
from functools import cache

import numpy as np
import pytest
import timm
import torch
from test_identifiability_claims import RESIDUAL

from harness.images.batch import Batch
from harness.interventions.intervention import NONE
from harness.measurement.forward import measure_chunk
from harness.measurement.plan import propose
from harness.measurement.prefix_tree import Bill, Request
from harness.models.families import adapt
from support.cards import CLAIMS

ROUNDS = 3  # the least of so many is compared
# Images in a chunk; of eight, a wide model reads the head's matrix from memory for too few tokens to pay.
SHAPES = (("vit_tiny_patch16_224", 32), ("vit_base_patch32_224", 8), ("vit_base_patch32_224", 64))


@cache
def subject(arch: str):
    torch.manual_seed(0)
    return adapt(timm.create_model(arch, pretrained=False), name=arch, arch=arch, pretrained=False)


def wanted(card) -> list[Request]:
    """List everything that the claims read of the model itself, each once."""
    readouts = {
        arm.readout
        for name in RESIDUAL
        for arm in propose(CLAIMS[name].function, CLAIMS[name].spec, card).arms.values()
        if arm.weights == "given" and not arm.fits
    }
    return [Request(intervention=arm, readout=one, claimants=frozenset("x")) for one in readouts for arm in [NONE]]


def seconds(work) -> float:
    """Take the least processor time of a few runs, after one that warms up."""
    work()
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


@torch.inference_mode()
def sorted_in_full(model, images: torch.Tensor, labels: torch.Tensor) -> list[np.ndarray]:
    """Find the rank of the label on every token of every block as the source's code does: by sorting all logits."""
    stream, found = model.start(images), []
    for block in range(model.card.depth):
        stream = model.step(block, stream)
        order = model.token_logits(model.normed(stream)).argsort(dim=-1, descending=True)
        found.append((order == labels[:, None, None]).float().argmax(dim=-1).numpy())
    return found


@pytest.mark.benchmark(group="identifiability")
@pytest.mark.parametrize(("arch", "count"), SHAPES)
def test_all_identifiability_claims_beside_one_forward_pass(benchmark, arch, count):
    if benchmark.disabled:
        pytest.skip("a model of published size is timed only where benchmarks are asked for")
    model = subject(arch)
    images = torch.randn(count, 3, 224, 224)
    labels = torch.randint(0, 1000, (count,))
    chunk = Batch(positions=range(count), donors=torch.arange(count).roll(1), labels=labels, seed=0)
    asked = wanted(model.card)

    def measure():
        return measure_chunk(model, images, chunk, asked, {}, Bill())

    with torch.inference_mode():
        forward = seconds(lambda: model.model(images))
    merged = seconds(measure)
    benchmark.extra_info |= {
        "readouts": len(asked),
        "forward seconds per image": forward / count,
        "ratio to the forward pass": merged / forward,
        "ratio of a full argsort per token and block": seconds(lambda: sorted_in_full(model, images, labels)) / forward,
    }
    benchmark.pedantic(measure, rounds=1, iterations=1)
