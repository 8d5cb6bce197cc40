"""Models that timm can name: full tags, models without weights, and where their weights are."""

import os
import threading
import urllib.error
import urllib.request
from pathlib import Path

import timm
import torch
from huggingface_hub import constants, try_to_load_from_cache
from timm.models import get_pretrained_cfg
from torch import nn

from harness.errors import ClaimsError

PROBE_SECONDS = 3.0  # for one answer of the hub; offline, the hub client itself retries for three quarters of a minute
HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def known_names() -> list[str]:
    """List the architectures of timm and their pretrained tags, under full names."""
    return [*timm.list_models(), *timm.list_models(pretrained=True)]


def full_name(text: str) -> str | None:
    """Give `architecture.tag` for a name with or without tag (the default tag then), None if timm knows no such name.

    An architecture without any pretrained tag is its own full name.
    """
    arch, _, tag = text.partition(".")
    if arch not in timm.list_models():
        return None
    if tag:
        return text if text in timm.list_models(f"{arch}.*", pretrained=True) else None
    default = get_pretrained_cfg(arch).tag
    return f"{arch}.{default}" if default else arch


def blank(name: str, classes: int | None = None, *, device: str = "cpu") -> nn.Module:
    """Build the architecture without pretrained weights; on device "meta" without any."""
    with torch.device(device):
        return timm.create_model(name, pretrained=False, num_classes=classes).eval()


def load(name: str) -> nn.Module:
    """Build the model with its pretrained weights, from the local cache if they are there, else from the hub."""
    if why := missing(name):
        raise ClaimsError(why)
    path = _cached(name)
    # A cached file is given as a file: asked for by name, the hub client would look at the network first.
    overlay = {"file": str(path)} if path else None
    return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay).eval()


def missing(name: str) -> str | None:
    """Say that and how the weights are missing; None if they are in the local cache or the hub answers."""
    config = get_pretrained_cfg(name)
    arch = name.partition(".")[0]
    cure = f"give a local checkpoint as PATH.safetensors,arch={arch}, or run where the hub can be reached"
    if config is None or not (config.hf_hub_id or config.url or config.file):
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


def _cached(name: str) -> Path | None:
    config = get_pretrained_cfg(name)
    if config.file:
        return Path(config.file)
    if config.hf_hub_id:
        repository, _, revision = config.hf_hub_id.partition("@")
        for file in (config.hf_hub_filename,) if config.hf_hub_filename else HUB_FILES:
            path = try_to_load_from_cache(repository, file, constants.HF_HUB_CACHE, revision or None)
            if isinstance(path, str):
                return Path(path)
        return None
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(config.url).name
    return path if path.exists() else None


def _answers(url: str) -> bool:
    """Probe in a thread of its own: a name server that hangs ignores the timeout of the connection."""
    answered = threading.Event()

    def probe() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=PROBE_SECONDS).close()
        except urllib.error.HTTPError as answer:  # a refusal is an answer too
            answer.close()
        except OSError:
            return
        answered.set()

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return answered.is_set()
