"""torchvision's models as timm's: equal answers on random weights, for every kind, and nothing else taken for one."""

import pytest
import torch
import torchvision
from torch import nn

from harness.errors import UnsupportedModel
from harness.models.factories import unwrapped
from harness.models.families import adapt
from harness.models.torchvision_modules import converted

torchvision_models = torchvision.models
KINDS = {
    "vit": lambda: torchvision_models.VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=12, mlp_dim=24, num_classes=5
    ),
    "resnet": lambda: torchvision_models.resnet18(num_classes=5),
    "resnext": lambda: torchvision_models.ResNet(
        torchvision_models.resnet.Bottleneck, [1, 1, 1, 1], num_classes=5, groups=4, width_per_group=8
    ),
    "convnext": lambda: torchvision_models.ConvNeXt(
        [
            torchvision_models.convnext.CNBlockConfig(width, more, depth)
            for width, more, depth in ((8, 16, 1), (16, 24, 2), (24, 32, 1), (32, None, 1))
        ],
        num_classes=5,
    ),
    "swin": lambda: torchvision_models.SwinTransformer(
        patch_size=[4, 4], embed_dim=8, depths=[1, 2], num_heads=[1, 2], window_size=[7, 7], num_classes=5
    ),
}


def drawn(kind: str) -> nn.Module:
    """Draw the model, every weight off its start."""
    torch.manual_seed(0)
    model = KINDS[kind]().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.02)
    return model


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_answers_are_equal_through_the_chain_of_blocks(kind):
    model = drawn(kind)
    subject = adapt(unwrapped(model), name=kind, arch=kind, pretrained=True)
    assert subject.card.classes == 5
    assert subject.card.preprocessing.interpolation == "bilinear"
    images = torch.randn(2, 3, *subject.card.preprocessing.size, generator=torch.Generator().manual_seed(1))
    stream = subject.start(images)
    for block in range(subject.card.depth):
        stream = subject.step(block, stream)
    expected = model(images)
    assert torch.allclose(subject.logits(stream), expected, atol=1e-5 * float(expected.abs().max()))


def test_others_are_left_alone_and_changed_ones_are_refused():
    assert converted(nn.Linear(2, 2)) is None
    assert converted(torchvision_models.vgg11(num_classes=5)) is None
    changed = drawn("resnet")
    changed.fc = nn.Sequential(nn.Linear(512, 8), nn.Linear(8, 5))
    assert converted(changed) is None
    quiet = drawn("resnet")
    quiet.relu = nn.ELU()
    with pytest.raises(UnsupportedModel, match="ResNet looks like ResNet but its answers differ"):
        unwrapped(quiet)
