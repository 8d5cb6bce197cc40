"""Missing weights are known within seconds and said in one message; cached ones load without any network."""

import socket
import threading
import time

import pytest
import timm
import torch
from safetensors.torch import save_file

from harness.errors import ClaimsError
from harness.models import timm_source
from harness.models.zoo import missing_weights, resolve

SMALL = "test_vit.r160_in1k"  # the smallest transformer in timm, 0.4 M parameters

WITH_READER = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"  # has a reader of its own, for files of another format


@pytest.fixture
def offline_hub(monkeypatch, tmp_path):
    """Point the hub client at an empty cache, with HF_HUB_OFFLINE unset; the tests say who answers."""
    monkeypatch.setattr(timm_source.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(timm_source.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "hub"


def test_without_weights_in_timm_only_random_ones_or_a_checkpoint_remain():
    bare = next(
        name
        for name in timm.list_models("vit_*")
        if name not in set(timm.list_models(pretrained=True)) and not timm.models.is_model_pretrained(name)
    )
    assert "timm has no pretrained weights" in missing_weights(resolve(bare))


@pytest.mark.parametrize("name", [SMALL, WITH_READER])
def test_weights_in_the_local_cache_load_without_any_network(offline_hub, monkeypatch, name):
    folder = offline_hub / f"models--timm--{name}"
    (folder / "snapshots" / "0").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0")
    weights = timm.create_model(name).state_dict()
    save_file(weights, folder / "snapshots" / "0" / "model.safetensors")
    monkeypatch.setattr(timm_source, "_answers", lambda url: pytest.fail("the cache was not enough"))
    monkeypatch.setattr("timm.models._hub.hf_hub_download", lambda *_, **__: pytest.fail("the hub client was asked"))
    subject = resolve(name).load()
    assert all(torch.equal(subject.model.state_dict()[key], value) for key, value in weights.items())
    assert subject.card == resolve(name).card


def test_full_names_mean_themselves():
    for arch in timm.list_models():
        full = timm_source.full_name(arch)
        assert timm_source.full_name(full) == full


def test_with_the_offline_switch_missing_weights_are_known_at_once(offline_hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    entry = resolve(SMALL)
    assert "HF_HUB_OFFLINE is set" in missing_weights(entry)
    assert f"PATH.safetensors,arch={SMALL.partition('.')[0]}" in missing_weights(entry)
    with pytest.raises(ClaimsError, match="not in the local cache"):
        entry.load()


def test_a_hub_that_never_answers_is_given_up_in_time(offline_hub, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(timm_source.constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(timm_source, "PROBE_SECONDS", 0.3)
        started = time.monotonic()
        assert "gave no answer within 0.3 s" in missing_weights(resolve(SMALL))
        assert time.monotonic() - started < 2


def test_a_hub_that_is_not_there_or_has_no_such_name_is_said_to_be_missing(offline_hub, monkeypatch):
    for endpoint in ("http://127.0.0.1:9", "http://no-such-host.invalid"):
        monkeypatch.setattr(timm_source.constants, "ENDPOINT", endpoint)
        assert endpoint in missing_weights(resolve(SMALL))


def test_a_hub_that_answers_is_within_reach(offline_hub, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(timm_source.constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
        thread = _answer_once(server, answer)
        assert missing_weights(resolve(SMALL)) is None
        thread.join()


def _answer_once(server, answer):
    def serve():
        connection, _ = server.accept()
        connection.recv(4096)
        connection.sendall(answer)
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    return thread
