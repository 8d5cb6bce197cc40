"""Self-distillation: its parts against closed forms, and that collapse is seen, in both ways."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.fixtures import dino, views
from harness.fixtures.probe_head import RIDGE, ridge, with_probe
from harness.fixtures.recipes import Recipe, construct
from harness.fixtures.views import random_view

MICRO = Recipe(
    name="micro",
    architecture="VisionTransformer",
    config={"img_size": 32, "patch_size": 16, "embed_dim": 16, "depth": 2, "num_heads": 2},
    steps=6,
    batch=8,
    rate=1e-2,
    warmup=2,
    objective="dino",
)


@pytest.fixture
def learner() -> dino.Dino:
    torch.manual_seed(0)
    return dino.Dino(construct(MICRO)).train()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_the_teacher_starts_as_the_student_and_takes_no_gradient(learner, images):
    assert all(
        torch.equal(value, learner.teacher.state_dict()[name]) for name, value in learner.student.state_dict().items()
    )
    assert not any(parameter.requires_grad for parameter in learner.teacher.parameters())
    dino.loss(learner, images)[0].backward()
    assert all(parameter.grad is None for parameter in learner.teacher.parameters())
    moved = {name for name, parameter in learner.student.named_parameters() if parameter.grad is not None}
    assert moved == {name for name, _ in learner.student.named_parameters() if not name.startswith("trunk.head")}


def test_each_view_learns_from_the_teachers_answer_to_the_other():
    wanted = F.one_hot(torch.tensor([[0, 1], [2, 3]]), 4).float()
    crossed = wanted.flip(0) * 10
    assert dino.matching_loss(crossed, wanted).item() == pytest.approx(0, abs=1e-6)
    assert dino.matching_loss(wanted * 10, wanted).item() == pytest.approx(10 / dino.STUDENT_TEMPERATURE, rel=1e-6)


def test_no_gradient_flows_into_the_targets():
    outputs = torch.randn(2, 3, 5, requires_grad=True)
    wanted = dino.targets(outputs, torch.zeros(5))
    dino.matching_loss(torch.randn(2, 3, 5, requires_grad=True), wanted).backward()
    assert outputs.grad is None


def test_what_all_pictures_share_is_no_part_of_the_targets():
    outputs, shared = torch.randn(6, 5), torch.randn(5)
    torch.testing.assert_close(dino.targets(outputs + shared, shared), dino.targets(outputs, torch.zeros(5)))


def test_targets_are_sharper_than_the_students_answers():
    outputs = torch.tensor([[0.3, 0.1, -0.2]])
    expected = outputs.div(dino.TEACHER_TEMPERATURE).exp()
    torch.testing.assert_close(dino.targets(outputs, torch.zeros(3)), expected / expected.sum())
    assert dino.targets(outputs, torch.zeros(3)).max() > (outputs / dino.STUDENT_TEMPERATURE).softmax(dim=1).max()


@settings(deadline=None)
@given(st.integers(1, 30))
def test_the_centre_is_the_running_mean_of_the_teachers_outputs(steps):
    centre, outputs = torch.zeros(3), torch.tensor([[[1.0, 2.0, 3.0]], [[3.0, 4.0, 5.0]]])
    for _ in range(steps):
        dino.move_centre(centre, outputs)
    left = dino.CENTRE_MOMENTUM**steps
    torch.testing.assert_close(centre, torch.tensor([2.0, 3.0, 4.0]) * (1 - left))


@pytest.mark.parametrize("progress", [0.0, 0.3, 0.5, 1.0])
def test_the_teacher_moves_by_the_share_that_the_schedule_gives(progress, learner):
    with torch.no_grad():
        for own, other in zip(learner.teacher.parameters(), learner.student.parameters(), strict=True):
            own.zero_()
            other.fill_(1.0)
    dino.move_teacher(learner, progress)
    expected = (1 - dino.TEACHER_MOMENTUM) * math.cos(math.pi * progress / 2) ** 2
    for parameter in learner.teacher.parameters():
        torch.testing.assert_close(parameter, torch.full_like(parameter, expected), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("wanted", "nats"),
    [
        (torch.full((12, 4), 0.25), 0.0),  # collapsed to the uniform answer
        (F.one_hot(torch.zeros(12, dtype=torch.int64), 4).float(), 0.0),  # collapsed to one prototype
        (F.one_hot(torch.arange(12) % 4, 4).float(), math.log(4)),
    ],
)
def test_targets_that_say_nothing_about_the_picture_are_seen_as_collapsed(wanted, nats):
    assert dino.information(wanted) == pytest.approx(nats, abs=1e-6)


def test_cosines_stay_between_minus_one_and_one():
    projected = dino.Projector(16)(100 * torch.randn(7, 16))
    assert projected.shape == (7, dino.PROTOTYPES)
    assert projected.abs().max() <= 1 + 1e-6


def test_views_differ_and_depend_on_the_seed_alone(images):
    torch.manual_seed(3)
    first, second = random_view(images), random_view(images)
    torch.manual_seed(3)
    assert torch.equal(random_view(images), first)
    assert not torch.allclose(first, second)
    assert first.shape == images.shape


def test_a_grey_picture_without_structure_stays_so_in_every_view_but_for_noise():
    torch.manual_seed(0)
    view = random_view(torch.full((16, 3, 32, 32), 0.5))
    levels = view.mean(dim=(1, 2, 3), keepdim=True)
    assert (view - levels).std() < 0.05
    assert levels.std() > 0.1


def test_a_hue_turn_keeps_grey_and_length():
    turns = views._hue_turns(9, torch.device("cpu"))
    torch.testing.assert_close(turns @ torch.ones(3), torch.ones(9, 3))
    torch.testing.assert_close(turns @ turns.mT, torch.eye(3).expand(9, 3, 3), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(torch.linalg.det(turns), torch.ones(9))


def test_the_ridge_solves_its_normal_equations():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(50, 4, dtype=torch.float64, generator=generator)
    wanted = torch.randn(50, 3, dtype=torch.float64, generator=generator)
    weight, bias = ridge(features, wanted)
    left = features @ weight + bias - wanted
    torch.testing.assert_close(left.sum(dim=0), torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(features.T @ left, -RIDGE * 50 * weight)


def test_a_probe_changes_the_head_alone():
    trunk = construct(MICRO)
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    fitted = with_probe(trunk, pictures=100)
    assert all(torch.equal(value, before[name]) for name, value in trunk.state_dict().items())
    changed = {name for name, value in fitted.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"head.weight", "head.bias"}
