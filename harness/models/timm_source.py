"""Models that timm can name: full tags, models without weights, and where their weights are."""

import os
from functools import cache
from pathlib import Path

import timm
import torch
from huggingface_hub import constants, try_to_load_from_cache
from timm.models import PretrainedCfg, get_pretrained_cfg
from torch import nn

from harness.errors import ClaimsError
from harness.models.hub import answers

PROBE_SECONDS = 3.0  # for one answer of the hub; offline, the hub client itself retries for three quarters of a minute
HUB_FILES = ("model.safetensors", "pytorch_model.bin")


@cache
def known_names() -> frozenset[str]:
    """List the architectures of timm and their pretrained tags, under full names."""
    return frozenset((*timm.list_models(), *timm.list_models(pretrained=True)))


def plain_name(text: str) -> str:
    """Take off what a hub puts before the name of one of timm's own models: `hf-hub:timm/NAME` or `timm/NAME`."""
    for prefix in ("hf-hub:timm/", "hf_hub:timm/", "timm/"):
        if text.startswith(prefix) and not Path(text).exists():
            return text.removeprefix(prefix)
    return text


def full_name(text: str) -> str | None:
    """Give `architecture.tag` for a name with or without tag (the default tag then), None if timm knows no such name.

    An architecture without any pretrained weights is its own full name.
    """
    arch, _, tag = text.partition(".")
    if text not in known_names():
        return None
    if tag:
        return text
    default = _config(arch)
    return f"{arch}.{default.tag}" if default.tag and default.has_weights else arch


def blank(name: str, classes: int | None = None, *, device: str = "cpu") -> nn.Module:
    """Build the architecture without pretrained weights; on device "meta" without any."""
    with torch.device(device):
        return timm.create_model(name, pretrained=False, num_classes=classes).eval()


def load(name: str) -> nn.Module:
    """Build the model with its pretrained weights, from the local cache if they are there, else from the hub."""
    if why := missing(name):
        raise ClaimsError(why)
    path, config = _cached(name), _config(name)
    overlay = None
    if path:
        # Asked for by name, the hub client would look at the network first. timm reads a file from the hub by the
        # model's own reader only if the configuration says "hf", a file given as such if it says anything.
        own_reader = config.custom_load == "hf" if config.hf_hub_id else config.custom_load
        overlay = {"file": str(path), "custom_load": own_reader}
    return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay).eval()


def missing(name: str) -> str | None:
    """Say that and how the weights are missing; None if they are in the local cache or the hub answers."""
    config = _config(name)
    arch = name.partition(".")[0]
    cure = f"give a local checkpoint as PATH.safetensors,arch={arch}, or run where the hub can be reached"
    if not config.has_weights:
        return f"timm has no pretrained weights for {name!r}; give a local checkpoint as PATH.safetensors,arch={arch}"
    if _cached(name):
        return None
    source = config.hf_hub_id or config.url
    if constants.HF_HUB_OFFLINE or os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return f"the weights of {name!r} ({source}) are not in the local cache and HF_HUB_OFFLINE is set; {cure}"
    if not _answers(constants.ENDPOINT):
        return (
            f"the weights of {name!r} ({source}) are not in the local cache and {constants.ENDPOINT} gave no answer "
            f"within {PROBE_SECONDS:g} s; {cure}"
        )
    return None


def notes(name: str) -> str:
    """Give what timm says of these weights, such as an architecture that they were not made for; "" for nothing."""
    said = getattr(_config(name), "notes", None) or ()
    return f"timm's note: {'; '.join(said)}" if said else ""


def _config(name: str) -> PretrainedCfg:
    return get_pretrained_cfg(name) or PretrainedCfg()


def _cached(name: str) -> Path | None:
    config = _config(name)
    if config.file:
        return Path(config.file)
    if config.hf_hub_id:
        repository, _, revision = config.hf_hub_id.partition("@")
        for file in (config.hf_hub_filename,) if config.hf_hub_filename else HUB_FILES:
            path = try_to_load_from_cache(repository, file, constants.HF_HUB_CACHE, revision or None)
            if isinstance(path, str):
                return Path(path)
        return None
    url = config.url[-1] if isinstance(config.url, tuple) else config.url or ""  # a pair is (address, file name)
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    return path if path.is_file() else None


def _answers(url: str) -> bool:
    return answers(url, PROBE_SECONDS)
