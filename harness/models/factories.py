"""Models that a function of one's own returns: called, taken out of what wraps them, and described."""

import copy
import importlib
from collections.abc import Callable

import torch
from torch import nn

from harness.errors import ClaimsError, UnsupportedModel, unknown
from harness.models.families import FAMILIES, adapt
from harness.models.families.cards import preprocessing_of
from harness.models.subject import Subject
from harness.models.torchvision_modules import converted

HOLDERS = ("module", "_orig_mod", "model", "backbone", "encoder", "net", "trunk")  # names under which wrappers hold it
TOLERANCE = 1e-5  # largest difference of answers, as a share of the largest, that leaves a wrapper without effect


def subject_of_factory(text: str) -> Subject:
    """Call `module:function` and describe what it returns.

    Raises:
        ClaimsError: it cannot be found, raises, wants arguments, or returns nothing that can be read.
    """
    try:
        made = _imported(text)()
    except (Exception, SystemExit) as error:
        if isinstance(error, ClaimsError):
            raise
        raise ClaimsError(f"the factory {text!r} raised {type(error).__name__}: {error!s:.200}") from error
    if isinstance(made, nn.Module):
        return _described(made, text)
    if not isinstance(made, Subject):
        raise ClaimsError(f"the factory {text!r} returned {type(made).__name__}, neither an nn.Module nor a Subject")
    return made


def _described(model: nn.Module, text: str) -> Subject:
    try:
        inner = unwrapped(model)
        return adapt(inner, name=text, arch=type(inner).__name__, pretrained=True)
    except ClaimsError:
        raise
    except (Exception, SystemExit) as error:
        raise UnsupportedModel(
            f"the {type(model).__name__} that the factory {text!r} returned cannot be read: {type(error).__name__}: "
            f"{error!s:.200}. Where layers were put in place of its own (LoRA, quantization), merge them first"
        ) from error


def unwrapped(model: nn.Module) -> nn.Module:
    """Take a model out of what wraps it (DataParallel, a compiled module, a class with a field for it, a subclass).

    It is taken out only where it answers as its wrapper does, which two random pictures show.

    Raises:
        UnsupportedModel: there is a model within, but the wrapper answers otherwise.
    """
    if _is_readable(model):
        return model
    for inner, how in _within(model):
        if (difference := _difference(model, inner)) is None:
            return inner
        raise UnsupportedModel(
            f"{type(model).__name__} {how} {type(inner).__name__} but {difference}; allowed: that model itself, or a "
            "`harness.models.subject.Subject` for what it does otherwise"
        )
    return model


_SUPPORTED = {kind: family for family in FAMILIES for kind in family.models}


def _is_readable(model: nn.Module) -> bool:
    """Say whether a model is of a class that a family knows, or of another one of timm, which is followed."""
    return type(model) in _SUPPORTED or (type(model).__module__.startswith("timm.models.") and _says_classes(model))


def _says_classes(model: nn.Module) -> bool:
    return isinstance(getattr(model, "num_classes", None), int)


def _within(model: nn.Module) -> list[tuple[nn.Module, str]]:
    """List the supported model that it is in other words, holds at any depth of wrappers, or is a subclass of."""
    if (same := converted(model)) is not None:
        return [(same, "looks like")]
    for name in HOLDERS:
        held = getattr(model, name, None)
        if isinstance(held, nn.Module):
            if _is_readable(held):
                return [(held, f"holds as .{name} a")]
            if deeper := _within(held):
                return deeper
    for base in type(model).__mro__[1:]:
        if base in _SUPPORTED:
            plain = copy.copy(model)
            plain.__class__ = base
            return [(plain, "is a subclass of")]
    return []


@torch.inference_mode()
def _difference(wrapper: nn.Module, inner: nn.Module) -> str | None:
    """Say how the answers of two modules differ on two random pictures; None where they do not."""
    looks, weight = preprocessing_of(inner), next(inner.parameters())
    pictures = torch.randn(2, len(looks.mean), *looks.size, generator=torch.Generator().manual_seed(0)).to(weight)
    wrapper.eval()
    inner.eval()
    own, other = inner(pictures), wrapper(pictures)
    if not isinstance(other, torch.Tensor) or other.shape != own.shape:
        told = list(other.shape) if isinstance(other, torch.Tensor) else type(other).__name__
        return f"answers {told} where that answers {list(own.shape)}"
    largest = float((own - other).abs().max())
    return None if largest <= TOLERANCE * float(own.abs().max()) else f"its answers differ by up to {largest:.3g}"


def _imported(text: str) -> Callable[[], object]:
    path, _, attribute = text.partition(":")
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{path}.".startswith(f"{error.name}."):
            raise  # the module is there, something that it imports is not
        raise ClaimsError(f"no module {error.name!r} for the model {text!r}; is its folder on sys.path?") from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise unknown("factory", attribute, [name for name in dir(module) if callable(getattr(module, name))], path)
    return factory
