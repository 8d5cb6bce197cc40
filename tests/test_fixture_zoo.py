"""The trained zoo: every weight file is what its recipe and its record say."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.fixtures import clip, objectives, train, zoo
from harness.fixtures.captions import write_captions
from harness.fixtures.pictures import render
from harness.fixtures.probe_head import with_probe
from harness.fixtures.recipes import OBJECTIVES, RECIPES, Recipe, construct
from harness.models.zoo import resolve

LIMIT = 40 * 2**20  # bytes, all weights together
TESTED = 500
MICRO = Recipe(
    name="micro",
    architecture="VisionTransformer",
    config={"img_size": 32, "patch_size": 16, "embed_dim": 16, "depth": 2, "num_heads": 2, "patch_drop_rate": 0.5},
    steps=6,
    batch=8,
    rate=1e-2,
    warmup=2,
)


def test_every_recipe_has_its_weights_and_its_record() -> None:
    companions = {"tiny_clip_text"}
    assert {path.stem for path in zoo.WEIGHTS.glob("*.safetensors")} == {*zoo.NAMES, *companions}
    assert {path.stem for path in zoo.WEIGHTS.glob("*.json")} == set(zoo.NAMES)


def test_all_weights_together_stay_below_the_limit() -> None:
    assert sum(path.stat().st_size for path in zoo.WEIGHTS.iterdir()) < LIMIT


@pytest.mark.parametrize("name", zoo.NAMES)
def test_the_record_names_the_recipe_as_it_stands(name) -> None:
    record, recipe = read_record(name), RECIPES[name]
    assert record["finished"]
    assert record["config"] == dict(recipe.config)
    assert record["recipe"] == {field: value for field, value in vars(recipe).items() if field != "config"}
    assert record["pictures_seen"] == recipe.steps * recipe.batch


@pytest.mark.parametrize("name", zoo.NAMES)
def test_a_built_model_reaches_its_recorded_accuracy(name) -> None:
    expected = read_record(name)["test_accuracy"]
    # The recorded accuracy comes from other pictures, so both errors count; the floor is one picture of doubt.
    error = np.sqrt(max(expected * (1 - expected), 1 / TESTED) * (1 / TESTED + 1 / train.FINAL_PICTURES))
    assert abs(zoo.accuracy(zoo.build(name), TESTED, first=train.FINAL_PICTURES) - expected) <= 4 * error


@pytest.mark.parametrize("name", zoo.NAMES)
def test_an_untrained_model_is_at_chance(name) -> None:
    assert abs(zoo.accuracy(construct(RECIPES[name]), TESTED) - 0.1) < 4 * np.sqrt(0.09 / TESTED)


@pytest.mark.parametrize("name", zoo.NAMES)
def test_a_built_model_is_in_eval_mode_and_tells_timm_its_input(name) -> None:
    model = zoo.build(name)
    assert not any(module.training for module in model.modules())
    assert model.pretrained_cfg["input_size"] == (3, zoo.SIZE, zoo.SIZE)
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


@pytest.mark.parametrize("name", zoo.NAMES)
def test_the_harness_reads_every_member_as_a_classifier_of_ten_classes(name) -> None:
    subject = resolve(name).load()
    assert (subject.card.classes, subject.card.depth) == (10, 4 if name == "tiny_resnet" else 12)
    assert "head" in subject.card.capabilities


def test_the_default_model_has_twelve_blocks_and_a_class_token() -> None:
    model = zoo.build("tiny_vit")
    assert len(model.blocks) == 12
    assert (model.cls_token is not None, model.num_prefix_tokens) == (True, 1)


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(KeyError, match="Did you mean 'tiny_vit'"):
        zoo.build("tiny_vitt")


def test_missing_weights_are_refused_with_the_command_that_makes_them(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"python -m harness\.fixtures\.train tiny_vit"):
        zoo.build("tiny_vit")


def test_preprocessing_maps_bytes_to_minus_one_to_one() -> None:
    images = np.zeros((1, 3, 2, 2), dtype=np.uint8)
    images[..., 0] = 255
    assert zoo.preprocess(images).unique().tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("objective", objectives.OBJECTIVES)
def test_a_resumed_training_ends_at_the_same_bytes_as_an_unbroken_one(objective, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(objectives, "with_probe", partial(with_probe, pictures=200))
    recipe = replace(MICRO, objective=objective)
    unbroken = fit(tmp_path / "unbroken", recipe)
    fit(tmp_path / "broken", recipe, until=3)
    resumed = fit(tmp_path / "broken", recipe)
    assert resumed.step == unbroken.step == MICRO.steps
    assert [entry["loss"] for entry in resumed.log] == [entry["loss"] for entry in unbroken.log]
    assert_same_weights(resumed.model, unbroken.model)
    for file in (tmp_path / "unbroken").glob("micro*.safetensors"):
        assert file.read_bytes() == (tmp_path / "broken" / file.name).read_bytes()


def test_every_objective_of_the_recipes_has_its_code() -> None:
    assert set(objectives.OBJECTIVES) == set(OBJECTIVES)


def test_a_resumed_training_without_its_optimizer_state_would_end_elsewhere(tmp_path) -> None:
    unbroken, other = fit(tmp_path / "unbroken", MICRO), fit(tmp_path / "broken", MICRO, until=3)
    forgetful = train.start(MICRO)
    forgetful.model.load_state_dict(other.model.state_dict())
    forgetful.step = other.step
    while forgetful.step < MICRO.steps:
        train.take_step(forgetful, MICRO, None)
    with pytest.raises(AssertionError):
        assert_same_weights(forgetful.model, unbroken.model)


@pytest.mark.parametrize("name", zoo.NAMES)
def test_the_record_shows_a_training_that_learned(name) -> None:
    log = read_record(name)["log"]
    assert [entry["step"] for entry in log] == sorted({entry["step"] for entry in log})
    assert log[-1]["loss"] < (0.5 if RECIPES[name].objective == "labels" else 1) * log[0]["loss"]
    assert log[-1]["test_accuracy"] > log[0]["test_accuracy"]


def test_models_of_matched_accuracy_are_matched() -> None:
    errors = {name: 1 - read_record(name)["test_accuracy"] for name in ("tiny_vit", "tiny_resnet", "tiny_convnext")}
    assert max(errors.values()) <= 0.01


@pytest.mark.parametrize("name", [name for name in zoo.NAMES if RECIPES[name].objective == "labels"])
def test_a_model_that_learned_from_labels_answers_nineteen_of_twenty(name) -> None:
    assert read_record(name)["test_accuracy"] >= 0.95


def test_self_distillation_did_not_collapse() -> None:
    assert read_record("tiny_dino")["figures"]["information_nats"] > 0.5  # 0 were a collapse


def test_the_self_supervised_head_is_the_probe_of_its_frozen_trunk() -> None:
    model = zoo.build("tiny_dino")
    again = with_probe(model)
    torch.testing.assert_close(again.head.weight, model.head.weight, atol=1e-3, rtol=1e-3)


@torch.no_grad()
def test_the_clip_pair_finds_captions_as_often_as_its_record_says() -> None:
    pair = clip.load_pair(zoo.build("tiny_clip"), zoo.WEIGHTS / "tiny_clip_text.safetensors")
    pictures = render(np.arange(objectives.JUDGED), split="test")
    tokens = clip.tokens_of(write_captions(pictures), torch.device("cpu"))
    seen, said = pair.embed_pictures(zoo.preprocess(pictures.images)), pair.embed_captions(tokens)
    figures = read_record("tiny_clip")["figures"]
    for first in (1, 5, 10):
        measured = clip.recall(seen, said, clip.same_captions(tokens), first)
        assert measured == pytest.approx(figures[f"recall_at_{first}_of_{objectives.JUDGED}"], abs=0.005)


def test_the_initial_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = construct(MICRO)
    torch.manual_seed(2)
    assert_same_weights(construct(MICRO), first)
    with pytest.raises(AssertionError):
        assert_same_weights(construct(replace(MICRO, seed=1)), first)


def test_the_learning_rate_warms_up_and_falls_to_zero() -> None:
    rates = [train.rate_at(MICRO, step) for step in range(MICRO.steps + 1)]
    assert rates[1] == MICRO.rate == max(rates)
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    assert sorted(rates[1:], reverse=True) == rates[1:]


def test_a_teacher_is_learned_by_the_second_output_alone() -> None:
    labels, says = torch.tensor([0, 1]), torch.tensor([2, 3])
    right = [torch.nn.functional.one_hot(answer, 10) * 50.0 for answer in (labels, says)]
    teacher = lambda inputs: right[1]  # noqa: E731
    inputs = torch.zeros(2, 3, 32, 32)
    assert objectives.label_loss((right[0], right[1]), labels, inputs, teacher).item() == pytest.approx(0, abs=1e-6)
    assert objectives.label_loss((right[1], right[0]), labels, inputs, teacher).item() > 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "VisionTransformr"}, "VisionTransformr"),
        ({"steps": 0}, "steps 0"),
        ({"warmup": 6}, "warmup 6"),
        ({"objective": "lables"}, "lables"),
        ({"objective": "dino", "teacher": "tiny_resnet"}, "teacher 'tiny_resnet'"),
    ],
)
def test_an_impossible_recipe_is_refused_with_the_offending_value(changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        replace(MICRO, **changes)


def test_the_train_pictures_of_the_recipes_hold_none_of_the_test_pictures() -> None:
    tested = {image.tobytes() for image in render(np.arange(500), split="test").images}
    trained = {image.tobytes() for image in render(np.arange(5000), split="train").images}
    assert not tested & trained


def read_record(name: str) -> dict:
    return json.loads((zoo.WEIGHTS / f"{name}.json").read_text())


def fit(folder: Path, recipe: Recipe, until: int | None = None) -> train.Training:
    return train.fit(recipe, checkpoint=folder / "state.safetensors", export=folder, until=until)


def assert_same_weights(one: torch.nn.Module, other: torch.nn.Module) -> None:
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
