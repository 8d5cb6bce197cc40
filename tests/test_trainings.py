"""Trainings as records: named by all that they depend on, resumed to the bit, and routed as the source says."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

from harness.errors import ClaimsError, NotApplicable
from harness.fixtures.planted.factor_pictures import FactorPictures
from harness.images.digits import DigitImages
from harness.images.procedural import EmbeddedImages
from harness.measurement.settings import silent
from harness.probes.training.files import FitPlace
from harness.trainings import autoencoder, recipe, routing
from harness.trainings.autoencoder import Autoencoder
from harness.trainings.pictures import GREY, TrainingPictures, grey_pictures, of_known_classes
from harness.trainings.recipe import seconds_of, trained
from harness.trainings.two_heads import scores

PICTURES = grey_pictures(FactorPictures(drawn="cue apart", seed=0, count=96))
QUICK = Autoencoder(seed=3, steps=12, batch=32, rate=1e-2, width=3, trade_offs=(0.0, 0.5, 1.0))


def place(folder=None) -> FitPlace:
    return FitPlace(folder=folder, context="here")


def same(one, other) -> bool:
    return set(one) == set(other) and all(np.array_equal(one[name], other[name]) for name in one)


def plain_training(asked: Autoencoder, member: int) -> dict[str, np.ndarray]:
    """Train one member by itself as the source does: three optimizers, and three backward passes."""
    run = asked.begin(PICTURES)
    layer = {}
    for name, tensor in run.networks.named().items():
        part, _, kind = name.split(".")
        layer.setdefault(part, {})[kind] = tensor[member].detach().clone()
    modules = {part: nn.Linear(*of["weight"].shape) for part, of in layer.items()}
    for part, module in modules.items():
        module.weight.data, module.bias.data = layer[part]["weight"].T.clone(), layer[part]["bias"]
    adams = {part: torch.optim.Adam(module.parameters(), lr=asked.rate) for part, module in modules.items()}
    share = asked.trade_offs[member]
    for step in range(asked.steps):
        chosen = run.batch(step)
        flat, labels = PICTURES.values.flatten(1)[chosen], PICTURES.labels[chosen]
        latent = torch.relu(modules["encoder"](flat))
        mse = ((torch.tanh(modules["decoder"](latent)) - flat) ** 2).mean()
        entropy = nn.functional.cross_entropy(modules["classifier"](latent), labels)
        losses = {"encoder": share * mse + (1 - share) * entropy, "decoder": mse, "classifier": entropy}
        slopes = {
            part: torch.autograd.grad(losses[part], list(module.parameters()), retain_graph=True)
            for part, module in modules.items()
        }
        for part, module in modules.items():
            for parameter, slope in zip(module.parameters(), slopes[part], strict=True):
                parameter.grad = slope
            adams[part].step()
    return {part: module.weight.detach().T.numpy() for part, module in modules.items()}


@pytest.mark.parametrize("member", range(3))
def test_stacked_members_train_as_each_would_alone(member):
    found = trained(QUICK, PICTURES, place(), silent)
    for part, weight in plain_training(QUICK, member).items():
        assert found[f"{part}.0.weight"][member] == pytest.approx(weight, abs=2e-4), part


def test_a_training_that_is_laid_down_ends_with_the_same_bytes(tmp_path):
    whole = trained(QUICK, PICTURES, place(), silent)
    first, second = QUICK.begin(PICTURES), QUICK.begin(PICTURES)
    for _ in range(5):
        first.step()
    second.restore(first.state())
    while second.done < QUICK.steps:
        second.step()
    assert same(second.result(), whole)


KILLED = """
import sys, time
from pathlib import Path
from harness.trainings import recipe
from harness.trainings.autoencoder import Autoencoder
from harness.trainings.pictures import grey_pictures
from harness.fixtures.planted.factor_pictures import FactorPictures
from harness.probes.training.files import FitPlace
recipe.CHECKPOINT_SECONDS = 0.0
def advance(what, done, total):
    print(done, flush=True)
    time.sleep(0.02)
recipe.trained(
    Autoencoder(seed=3, steps=60, batch=32, rate=1e-2, width=3, trade_offs=(0.0, 1.0)),
    grey_pictures(FactorPictures(drawn="cue apart", seed=0, count=96)),
    FitPlace(folder=Path(sys.argv[1]), context="here"), advance,
)
"""


def test_a_training_that_is_killed_goes_on_and_ends_with_the_same_bytes(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "killed")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) < 20:
            pass
        os.kill(process.pid, signal.SIGKILL)
    (partial,) = (tmp_path / "killed").glob("*.partial.safetensors")
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    steps = [int(line) for line in again.stdout.splitlines()]
    assert steps[0] > 19, "it began anew"
    assert steps[-1] == 60
    subprocess.run([*command[:-1], str(tmp_path / "whole")], capture_output=True, check=True)
    (one,), (other,) = ((tmp_path / name).glob("*.safetensors") for name in ("killed", "whole"))
    assert not partial.exists()
    assert one.name == other.name
    assert one.read_bytes() == other.read_bytes()


def test_what_is_trained_is_read_back_and_other_recipes_are_other_files(tmp_path, monkeypatch):
    first = trained(QUICK, PICTURES, place(tmp_path), silent)
    with monkeypatch.context() as patched:
        patched.setattr(Autoencoder, "begin", lambda *_: pytest.fail("trained once more"))
        assert same(trained(QUICK, PICTURES, place(tmp_path), silent), first)
    for change in ({"seed": 4}, {"draw": 1}, {"width": 2}, {"steps": 11}, {"trade_offs": (0.0, 1.0)}):
        other = Autoencoder(**{**vars(QUICK), **change})
        assert not same(trained(other, PICTURES, place(tmp_path), silent), first), change
    assert len(list(tmp_path.glob("*.safetensors"))) == 6


def test_at_its_ends_the_untaught_head_is_still_trained():
    found = trained(QUICK, PICTURES, place(), silent)
    drawn = {name: tensor.detach().numpy() for name, tensor in QUICK.begin(PICTURES).networks.named().items()}
    classes, _, pictures = range(3)
    assert not np.allclose(found["decoder.0.weight"][classes], drawn["decoder.0.weight"][classes])
    assert not np.allclose(found["classifier.0.weight"][pictures], drawn["classifier.0.weight"][pictures])


@pytest.mark.parametrize(("kept", "still"), [("encoder", {"encoder"}), ("extra layers", {"encoder", "decoder"})])
def test_what_is_left_as_drawn_stays(kept, still):
    asked = Autoencoder(**{**vars(QUICK), "hidden": (5,), "untrained": kept})
    before = {name: tensor.detach().clone() for name, tensor in asked.begin(PICTURES).networks.named().items()}
    after = trained(asked, PICTURES, place(), silent)
    unmoved = {name.split(".")[0] for name in before if np.array_equal(before[name].numpy(), after[name])}
    assert unmoved == still
    last = max(name for name in before if name.startswith("encoder") and name.endswith("weight"))
    assert np.array_equal(before[last].numpy(), after[last]) is (kept == "encoder")


def test_gradients_that_cross_are_refused(monkeypatch):
    monkeypatch.setattr(autoencoder, "scaled_back", lambda values, scale: values)  # both losses whole
    with pytest.raises(ClaimsError, match="does not learn from the weighted sum of both losses"):
        QUICK.begin(PICTURES)
    monkeypatch.undo()
    run = QUICK.begin(PICTURES)

    def crossing(shares):
        mse, entropy = run.losses(run.batch(0), shares)
        return mse + 1e-3 * entropy, entropy

    with pytest.raises(ClaimsError, match="reaches the other head"):
        routing.refuse_crossing(run.networks, crossing, run.trade_offs, "autoencoders")


def test_a_training_that_diverges_is_an_error(monkeypatch, tmp_path):
    with pytest.raises(ClaimsError, match=r"of seed 3 diverged: \S+ is not finite"):
        trained(Autoencoder(**{**vars(QUICK), "rate": float("inf")}), PICTURES, place(tmp_path), silent)
    assert not list(tmp_path.glob("*.safetensors"))


def test_scores_are_those_of_the_definition():
    found = scores(trained(QUICK, PICTURES, place(), silent), PICTURES, PICTURES)
    flat = PICTURES.values.flatten(1).numpy()
    arrays = trained(QUICK, PICTURES, place(), silent)
    for member in range(3):
        weight = {part: arrays[f"{part}.0.weight"][member] for part in ("encoder", "decoder", "classifier")}
        bias = {part: arrays[f"{part}.0.bias"][member] for part in ("encoder", "decoder", "classifier")}
        latent = np.maximum(flat @ weight["encoder"] + bias["encoder"], 0.0)
        drawn = np.tanh(latent @ weight["decoder"] + bias["decoder"])
        assert found.error[member] == pytest.approx(((drawn - flat) ** 2).mean(), rel=1e-4)
        answers = (latent @ weight["classifier"] + bias["classifier"]).argmax(axis=1)
        assert found.accuracy[member] == pytest.approx((answers == PICTURES.labels.numpy()).mean(), abs=0.02)
    assert found.mean_picture == pytest.approx(((flat - flat.mean(axis=0)) ** 2).mean(), rel=1e-4)


@pytest.mark.parametrize(
    ("change", "why"),
    [({"trade_offs": (0.5, 1.2)}, "a trade-off of 1.2"), ({"width": 0}, "a layer of 0"), ({"hidden": (0,)}, "of 0")],
)
def test_impossible_recipes_are_refused(change, why):
    with pytest.raises(ValueError, match=why):
        Autoencoder(**{**vars(QUICK), **change})


def test_pictures_are_grey_small_and_scaled():
    images = EmbeddedImages(split="test", seed=0, limit=3)
    found = grey_pictures(images, 2)
    assert found.values.shape == (2, 1, 28, 28)
    assert found.values.min() >= -1.0 - 1e-6
    colours = images.load([0], images_look(28))
    assert found.values[0, 0].numpy() == pytest.approx(np.tensordot(GREY, colours[0].numpy(), axes=1), abs=1e-5)
    digits = DigitImages(split="test", seed=0, limit=3)
    assert grey_pictures(digits).values.shape == (3, 1, 8, 8)


def images_look(side):
    from harness.models.subject import Preprocessing

    return Preprocessing(size=(side, side), mean=(0.5,) * 3, std=(0.5,) * 3)


def test_classes_are_those_that_there_are_training_pictures_of():
    values = torch.zeros(4, 1, 2, 2)
    train = TrainingPictures(values=values, labels=torch.tensor([7, 3, 7, 3]), classes=1000)
    labels = torch.tensor([3, 5, 7, 9])
    test = TrainingPictures(values=values + torch.arange(4)[:, None, None, None], labels=labels, classes=1000)
    train, test = of_known_classes(train, test)
    assert (train.classes, train.labels.tolist()) == (2, [1, 0, 1, 0])
    assert (test.classes, test.labels.tolist(), test.values[:, 0, 0, 0].tolist()) == (2, [0, 1], [0.0, 2.0])
    one = TrainingPictures(values=values, labels=torch.full((4,), 7), classes=1000)
    with pytest.raises(NotApplicable, match="training pictures are of 1 class"):
        of_known_classes(one, test)


def test_digits_are_those_of_scikit_learn_without_a_doubled_picture():
    from sklearn.datasets import load_digits

    test, train = DigitImages(split="test", seed=1), DigitImages(split="train", seed=1)
    assert (len(test), len(train)) == (500, 1297)
    whole = load_digits()
    place = int(test.names[0].split("/")[1])
    assert test.labels[0] == whole.target[-500:][place]
    shown = (test.load([0], images_look(8))[0, 0].numpy() + 1) * 8
    assert shown == pytest.approx(whole.images[-500:][place], abs=1e-4)
    assert DigitImages(split="test", seed=2).fingerprint != test.fingerprint


def test_a_training_uses_one_thread_and_gives_the_others_back():
    before = torch.get_num_threads()
    seen = []
    trained(QUICK, PICTURES, place(), lambda *_: seen.append(torch.get_num_threads()))
    assert set(seen) == {1}
    assert torch.get_num_threads() == before


def test_the_price_of_a_training_is_that_of_its_steps():
    start = time.process_time()
    trained(QUICK, PICTURES, place(), silent)
    took, told = time.process_time() - start, seconds_of(QUICK, PICTURES)
    assert 0.0 < told < 50 * took  # a machine may be busy: what is exact is that it grows with the steps
    assert recipe.CHECKPOINT_SECONDS > 1
