"""Learned readouts of one block: trained as written down, on a frozen block, resumable, and read as fitted."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from harness.errors import ClaimsError
from harness.images.batch import Batch
from harness.images.sampling import batch_ranges, donors
from harness.measurement.plan import Arm, Plan, level
from harness.measurement.runner import run
from harness.probes.learned_token import Recipe, TokenFit, TokenReadout, initial_parameters, seeded
from harness.probes.probe import Probe
from harness.probes.training import linear as probe_fits
from harness.probes.training import token_cache
from harness.probes.training.files import FitPlace
from harness.probes.training.fits import fit_all, fit_id
from harness.probes.training.linear import Training
from harness.probes.training.tokens import differentiable_step
from harness.readouts.learned_tokens import (
    LearnedAccuracy,
    LearnedEntropy,
    LearnedEntropyFalls,
    LearnedTogether,
    LearnedUnanimity,
)
from harness.readouts.reading import Reading
from harness.readouts.readout import block_of
from support.claims import bench, job
from support.planted import Counting, Planted, PlantedImages
from support.tiny import CLASSES, DEPTH, WIDTH, RandomImages, tiny_vit

MODES = ("null", "null_reinit", "replace", "augment", "deterministic")
TRAIN = RandomImages(count=90, seed=3)
SHORT = Recipe(epochs=2, batch=32, rate=1e-2)
LEARNED = TokenReadout(block=1, mode="replace", recipe=SHORT)


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def fitted(readouts, folder=None, subject=None, images=TRAIN, kill_at: tuple[str, int] | None = None):
    def advance(what: str, done: int, total: int) -> None:
        assert 0 < done <= total
        if kill_at == (what, done):
            raise Killed

    training = Training(subject=subject or tiny_vit(), images=images, chunks=batch_ranges(len(images), 40), seed=0)
    return fit_all(readouts, training, FitPlace(folder=folder, context="here"), advance)


def entering_tokens(block: int, images=TRAIN) -> torch.Tensor:
    """Run all images to the input of a block, in the chunks of the fit."""
    subject, parts = tiny_vit(), []
    for chunk in batch_ranges(len(images), 40):
        stream = subject.start(images.load(chunk, None))
        for before in range(block):
            stream = subject.step(before, stream)
        parts.append(stream.tokens)
    return torch.cat(parts)


def by_torch(readout: TokenReadout) -> dict[str, torch.Tensor]:
    """Train with modules, Adam and schedule of torch, through the block itself."""
    recipe, model = readout.recipe, tiny_vit().model
    start = initial_parameters(readout, WIDTH, CLASSES)
    probe = torch.nn.Linear(WIDTH, CLASSES)
    leaky = torch.nn.LeakyReLU
    generator = torch.nn.Sequential(
        torch.nn.Linear(WIDTH, 512), leaky(), torch.nn.Linear(512, 512), leaky(),
        torch.nn.Linear(512, 512), leaky(), torch.nn.Linear(512, WIDTH),
    )  # fmt: skip
    token = torch.nn.Parameter(start.get("token", torch.zeros(WIDTH)).clone())
    with torch.no_grad():
        probe.weight.copy_(start["probe.weight"])
        probe.bias.copy_(start["probe.bias"])
        for place, linear in enumerate(generator[::2]):
            if readout.draws:
                linear.weight.copy_(start[f"generator.{place}.weight"])
                linear.bias.copy_(start[f"generator.{place}.bias"])
    optimizer = torch.optim.Adam([*probe.parameters(), *generator.parameters(), token], lr=recipe.rate)
    tokens, labels = entering_tokens(readout.block), torch.from_numpy(TRAIN.labels)
    per_epoch = -(-len(TRAIN) // recipe.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, per_epoch * recipe.epochs)
    for step in range(per_epoch * recipe.epochs):
        epoch, within = divmod(step, per_epoch)
        order = np.random.Generator(np.random.PCG64([recipe.seed, 11, epoch])).permutation(len(TRAIN))
        rows = torch.from_numpy(order[within * recipe.batch : (within + 1) * recipe.batch])
        new = token.expand(len(rows), -1)
        if readout.draws:
            new = generator(torch.randn(len(rows), WIDTH, generator=seeded(recipe.seed, "noise", step)))
        entering = {
            "null": tokens[rows],
            "null_reinit": tokens[rows],
            "augment": torch.cat([new[:, None], tokens[rows]], 1),
        }.get(readout.mode, torch.cat([new[:, None], tokens[rows][:, 1:]], 1))
        loss = torch.nn.functional.cross_entropy(probe(model.blocks[readout.block](entering)[:, 0]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    parts = {"probe.weight": probe.weight, "probe.bias": probe.bias, "token": token}
    for place, linear in enumerate(generator[::2]):
        parts |= {f"generator.{place}.weight": linear.weight, f"generator.{place}.bias": linear.bias}
    return {name: parts[name].detach() for name in start}


@pytest.mark.parametrize("mode", MODES)
def test_training_equals_modules_adam_and_schedule_of_torch(mode):
    readout = replace(LEARNED, mode=mode)
    fit, expected = fitted([readout])[readout], by_torch(readout)
    assert fit.parameters.keys() == expected.keys()
    start = initial_parameters(readout, WIDTH, CLASSES)
    for name, value in expected.items():
        torch.testing.assert_close(fit.parameters[name], value, atol=2e-4, rtol=1e-3)
        assert not torch.equal(fit.parameters[name], start[name]), "everything is trained"


def test_the_model_stays_as_it_is():
    subject = tiny_vit()
    before = subject.weights_hash()
    fitted([LEARNED], subject=subject)
    assert subject.weights_hash() == before
    assert all(parameter.grad is None for parameter in subject.model.parameters())


def test_gradients_reach_the_tokens_that_enter_a_block():
    subject = tiny_vit()
    stream = subject.start(TRAIN.load(range(2), None))
    tokens = stream.tokens.clone().requires_grad_()
    out = differentiable_step(subject, 0, stream.with_tokens(tokens))
    (gradient,) = torch.autograd.grad(out[:, 0].sum(), tokens)
    assert (gradient.abs().amax(dim=(0, 2)) > 0).all(), "through attention, every token acts on the class token"

    class Cut(Planted):
        def step(self, block, stream, mask=None):
            return stream.with_tokens(super().step(block, stream, mask).tokens.detach())

    planted = Cut().start(PlantedImages(count=2).load(range(2), Cut().card.preprocessing))
    with pytest.raises(ClaimsError, match="passes no gradient"):
        differentiable_step(Cut(), 0, planted.with_tokens(planted.tokens.clone().requires_grad_()))


@pytest.mark.parametrize("learns", ["probe", "nothing"])
def test_untrained_controls_keep_what_was_drawn(learns):
    readout = replace(LEARNED, learns=learns)
    fit, start = fitted([readout])[readout], initial_parameters(readout, WIDTH, CLASSES)
    for name, value in fit.parameters.items():
        trained = learns == "probe" and name.startswith("probe")
        assert torch.equal(value, start[name]) != trained


def test_all_modes_and_blocks_start_from_one_probe_but_null_reinit():
    def probe(mode, block):
        return initial_parameters(TokenReadout(block=block, mode=mode), WIDTH, CLASSES)["probe.weight"]

    shared = [probe(mode, block) for mode in MODES if mode != "null_reinit" for block in (0, 2)]
    assert all(torch.equal(one, shared[0]) for one in shared)
    assert not torch.equal(probe("null_reinit", 0), probe("null_reinit", 2))
    assert not torch.equal(probe("null_reinit", 0), shared[0])


@pytest.mark.parametrize("mode", MODES)
def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path, monkeypatch, mode):
    readout = replace(LEARNED, mode=mode)
    expected = fitted([readout])[readout]
    monkeypatch.setattr(probe_fits, "CHECKPOINT_SECONDS", -1.0)
    with pytest.raises(Killed):
        fitted([readout], tmp_path, kill_at=(f"{mode} readout of block 1", 90 + 32))
    assert any("partial" in path.name for path in tmp_path.iterdir())
    steps = []
    monkeypatch.setattr(
        "harness.probes.training.tokens.differentiable_step", lambda *a: steps.append(1) or differentiable_step(*a)
    )
    resumed = fitted([readout], tmp_path)[readout]
    for name, value in expected.parameters.items():
        assert torch.equal(resumed.parameters[name], value)
    assert len(steps) == (0 if readout.keeps_class else 2), "only the steps that were left"
    assert [path.name for path in tmp_path.iterdir()] == [
        f"{fit_id(FitPlace(folder=tmp_path, context='here'), readout)}.safetensors"
    ]


def test_a_readout_is_learned_once_and_is_the_same_alone_and_beside_others(tmp_path):
    counted = Counting(inner=Planted())
    train = PlantedImages(count=90, seed=1, noise=0.5)
    both = [TokenReadout(block=4, mode=mode, recipe=SHORT) for mode in ("replace", "null", "deterministic")]
    probe = Probe(layer=3)
    first = fitted([*both, probe], tmp_path, counted, train)
    assert counted.passes == 2 * len(train), "one pass for the probe, one for the tokens of all modes"
    again = fitted([*both, probe], tmp_path, counted, train)
    assert counted.passes == 2 * len(train)
    alone = fitted([both[0]], None, Planted(), train)
    for fits in (again, alone):
        for name, value in fits[both[0]].parameters.items():
            assert torch.equal(value, first[both[0]].parameters[name])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("learns", ["all", "probe", "nothing"])
def test_training_costs_what_it_says_in_block_evaluations(mode, learns):
    readout = TokenReadout(block=4, mode=mode, learns=learns, recipe=Recipe(images=70, epochs=2, batch=32))
    counted = Counting(inner=Planted())
    fitted([readout], None, counted, PlantedImages(count=90, noise=0.5))
    forward = sum(images for block, images in counted.stepped if block == 4)
    backward = 2 * forward if learns == "all" and not readout.keeps_class else 0
    assert forward + backward == readout.evaluations(90)


def test_tokens_that_do_not_fit_into_memory_go_to_disk_in_half_precision(tmp_path, monkeypatch):
    readout = replace(LEARNED, mode="deterministic")
    in_memory = fitted([readout])[readout]
    monkeypatch.setattr(token_cache, "MEMORY_BYTES", 100)
    on_disk = fitted([readout], tmp_path)[readout]
    torch.testing.assert_close(
        on_disk.parameters["probe.weight"], in_memory.parameters["probe.weight"], atol=0.02, rtol=0.05
    )
    assert len([*tmp_path.iterdir()]) == 1, "nothing but the fit is left"
    monkeypatch.setattr(token_cache, "DISK_BYTES", 100)
    with pytest.raises(ClaimsError, match="State fewer `images`"):
        fitted([readout])


def test_readouts_that_a_model_cannot_have_are_refused_before_any_pass():
    counted = Counting(inner=Planted(lacks=frozenset({"token_subset"})))
    fitted([TokenReadout(block=5, mode="deterministic", recipe=SHORT)], None, counted, PlantedImages(count=40))
    done = counted.passes
    for readout, words in (
        (TokenReadout(block=6, mode="null"), "the blocks are 0..5"),
        (TokenReadout(block=5, mode="augment"), "cannot run on a part of the tokens"),
    ):
        with pytest.raises(ClaimsError, match=words):
            fitted([readout], None, counted, PlantedImages(count=40))
    no_class = Counting(inner=Planted(lacks=frozenset({"class_token"})))
    with pytest.raises(ClaimsError, match="no class token"):
        fitted([TokenReadout(block=0, mode="null")], None, no_class, PlantedImages(count=40))
    assert (counted.passes, no_class.passes) == (done, 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: TokenReadout(block=-1, mode="null"),
        lambda: Recipe(epochs=0),
        lambda: Recipe(rate=0.0),
        lambda: Recipe(images=0),
        lambda: LearnedUnanimity(readout=TokenReadout(block=1, mode="null")),
        lambda: LearnedUnanimity(readout=LEARNED, draws=1),
        lambda: LearnedTogether(readouts=(LEARNED,), rule="any"),
    ],
)
def test_descriptions_that_make_no_sense_are_refused(make):
    with pytest.raises(ValueError, match=r"allowed|at least"):
        make()


COUNT = 12
IMAGES = RandomImages(count=COUNT, seed=8)
CHUNK = Batch(
    positions=range(COUNT), donors=torch.from_numpy(donors(COUNT)), labels=torch.from_numpy(IMAGES.labels), seed=0
)


def drawn(readout: TokenReadout) -> TokenFit:
    """Draw parameters that answer differently for different images and tokens."""
    parameters = initial_parameters(readout, WIDTH, CLASSES)
    return TokenFit(parameters={name: 3.0 * value for name, value in parameters.items()})


def reading(readout) -> Reading:
    subject, block = tiny_vit(), block_of(readout, tiny_vit().card)
    stream = subject.start(IMAGES.load(range(COUNT), None))
    for before in range(block + 1):
        stream = subject.step(before, stream)
    return Reading(subject, stream, block, CHUNK, {one: drawn(one) for one in readout.fits}, None)


def direct(readout: TokenReadout, draw: int = 0) -> torch.Tensor:
    """Give logits [image, class] by the model's own blocks and a token put in by hand, image by image."""
    model, parameters, rows = tiny_vit().model, drawn(readout).parameters, []
    noise = torch.randn(COUNT, WIDTH, generator=CHUNK.generator(1000 + draw))
    for image, tokens in enumerate(entering_tokens(readout.block, IMAGES)):
        token = parameters.get("token")
        if readout.draws:
            token = noise[image]
            for layer in range(4):
                token = parameters[f"generator.{layer}.weight"] @ token + parameters[f"generator.{layer}.bias"]
                token = torch.where(token > 0, token, 0.01 * token) if layer < 3 else token
        sequence = list(tokens)
        if readout.mode == "augment":
            sequence = [token, *sequence]
        elif token is not None:
            sequence[0] = token
        with torch.no_grad():
            out = model.blocks[readout.block](torch.stack(sequence)[None])[0, 0]
        rows.append(parameters["probe.weight"] @ out + parameters["probe.bias"])
    return torch.stack(rows)


def right(logits: torch.Tensor) -> list[float]:
    return [float(row.argmax() == label) for row, label in zip(logits, IMAGES.labels, strict=True)]


@pytest.mark.parametrize("mode", MODES)
def test_accuracy_and_entropy_are_read_from_the_block_with_the_token_in_it(mode):
    one = TokenReadout(block=2, mode=mode)
    accuracy, spread = LearnedAccuracy(readout=one), LearnedEntropy(readout=one, classes=CLASSES)
    assert accuracy.read(reading(accuracy)).tolist() == right(direct(one))
    np.testing.assert_allclose(
        spread.read(reading(spread)).numpy(), entropy(softmax(direct(one).numpy(), axis=1), axis=1), rtol=1e-3
    )
    assert spread.read(reading(spread)).max() <= spread.high


def test_unanimity_is_whether_all_draws_give_one_answer():
    readout = LearnedUnanimity(readout=LEARNED, draws=4)
    said = torch.stack([direct(LEARNED, draw).argmax(1) for draw in range(4)])
    expected = [float(len(set(said[:, image].tolist())) == 1) for image in range(COUNT)]
    assert readout.read(reading(readout)).tolist() == expected
    assert 0 < sum(expected) < COUNT, "both happen, or this shows little"


@pytest.mark.parametrize("rule", ["any", "all", "majority", "sum"])
@pytest.mark.parametrize("donor", [False, True])
def test_several_readouts_together_equal_loops_over_images(rule, donor):
    three = tuple(TokenReadout(block=block, mode="deterministic") for block in range(DEPTH))
    readout = LearnedTogether(readouts=three, rule=rule, first_of_donor=donor)
    logits = [direct(one) for one in three]
    hits = [right(one) for one in logits]
    if donor:
        swap = CHUNK.donors.tolist()
        logits[0], hits[0] = logits[0][swap], [hits[0][place] for place in swap]
    expected = []
    for image, label in enumerate(IMAGES.labels):
        answers = [int(one[image].argmax()) for one in logits]
        most = max(answers.count(answer) for answer in answers)
        winner = [answer for answer in answers if answers.count(answer) == most][-1]
        expected.append(
            {
                "any": float(any(hit[image] for hit in hits)),
                "all": float(all(hit[image] for hit in hits)),
                "majority": float(winner == label),
                "sum": float(sum(one[image] for one in logits).argmax() == label),
            }[rule]
        )
    assert readout.exchanges == donor
    assert readout.read(reading(readout)).tolist() == expected


def test_entropy_falls_where_the_later_readout_is_surer():
    earlier, later = TokenReadout(block=0, mode="null"), TokenReadout(block=2, mode="null")
    spreads = [entropy(softmax(direct(one).numpy(), axis=1), axis=1) for one in (earlier, later)]
    readout = LearnedEntropyFalls(earlier=earlier, later=later)
    assert readout.read(reading(readout)).tolist() == (spreads[1] < spreads[0]).astype(float).tolist()


def test_a_claim_may_read_what_a_frozen_block_reveals_to_a_learned_token():
    """The last block of the planted model collects the answer into any token that stands for the class token."""
    recipe = Recipe(epochs=60, rate=5e-2)
    arms = {
        "last": Arm(readout=LearnedAccuracy(readout=TokenReadout(block=5, mode="deterministic", recipe=recipe))),
        "untrained": Arm(
            readout=LearnedAccuracy(
                readout=TokenReadout(block=5, mode="deterministic", learns="nothing", recipe=recipe)
            )
        ),
    }
    means = {}
    for name, arm in arms.items():
        plan = Plan(arms={name: arm}, effect=level(name))
        train = PlantedImages(count=200, seed=11, noise=0.3)
        (outcome,) = run([job(plan)], bench(Planted(), PlantedImages(noise=0.3), train=train)).values()
        means |= outcome.arm_means
    assert means["last"] > 0.95
    assert means["untrained"] < 0.7
