"""The face of the package: names for claim files, `harness.run` for notebooks, checks for subjects of others."""

import doctest
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import harness
from harness.errors import ClaimsError
from harness.models.zoo import resolve
from harness.running import notebook
from support.planted import Planted

CLAIMS = Path(__file__).parents[1] / "claims"


def test_claim_files_import_from_the_face_alone():
    for path in CLAIMS.rglob("test_*.py"):
        lines = [line for line in path.read_text().splitlines() if line.startswith(("from harness", "import harness"))]
        assert all(line.startswith("from harness import") for line in lines), path


def test_every_name_of_the_face_is_there_and_documented():
    named = [name for name in dir(harness) if not name.startswith("_")]
    assert {"Arm", "Plan", "claim", "every", "level", "ratio", "run", "subject_checks"} <= set(named)
    for name in named:
        value = getattr(harness, name)
        if callable(value):
            assert value.__doc__, name


def test_a_name_that_is_not_there_is_refused_with_the_nearest_match():
    with pytest.raises(AttributeError, match="Did you mean 'shuffle_cls'"):
        _ = harness.shufle_cls


def test_importing_the_package_loads_no_model_library():
    code = "import harness, sys; assert not {'torch', 'timm', 'numpy'} & set(sys.modules), 'loaded'"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_example_of_run_is_true(monkeypatch):
    monkeypatch.chdir(CLAIMS.parent)
    found = doctest.testmod(notebook)
    assert found.attempted >= 3
    assert found.failed == 0


def test_run_gives_records_of_models_and_claims_and_keeps_them_in_a_cache(tmp_path):
    claims = ["cls-last-shuffle-hits-floor", "background-independence"]
    known = [name for name in claims if name in {path for path in claims}]
    records = harness.run(["tiny_vit", "tiny_resnet"], claims=known[:1], folder=CLAIMS, max_images=64, cache=tmp_path)
    assert [(record.model, record.claim) for record in records] == [
        ("tiny_vit", claims[0]),
        ("tiny_resnet", claims[0]),
    ]
    assert records[1].verdict == "not applicable"
    assert (tmp_path / "history.sqlite").exists()


def test_run_refuses_names_that_do_not_exist(tmp_path):
    with pytest.raises(ClaimsError, match="Did you mean 'cls-last-shuffle-hits-floor'"):
        harness.run("tiny_vit", claims="cls-last-shuffle-hits-flor", folder=CLAIMS)
    with pytest.raises(ClaimsError, match="Did you mean 'tiny_vit'"):
        harness.run("tiny_vitt", claims="cls-last-shuffle-hits-floor", folder=CLAIMS)


SUBJECTS = (resolve("tiny_vit").load(), resolve("tiny_swin").load(), resolve("tiny_resnet").load())


@pytest.mark.parametrize("check", harness.subject_checks(*SUBJECTS), ids=str)
def test_subjects_of_the_zoo_keep_the_contract(check):
    check()


class Forgetful(Planted):
    """A subject that writes into the stream that it is given."""

    def step(self, block, stream, mask=None, renormalize=True):
        after = super().step(block, stream, mask, renormalize)
        stream.tokens.add_(1.0)
        return after


class Social(Planted):
    """A subject whose pictures see one another."""

    def start(self, images, positions="own"):
        stream = super().start(images, positions)
        return stream.with_tokens(stream.tokens + stream.tokens.sum(dim=0, keepdim=True))


class Drowsy(Planted):
    """A subject that gives every picture the same stream."""

    def start(self, images, positions="own"):
        stream = super().start(images, positions)
        return stream.with_tokens(torch.ones_like(stream.tokens))


@pytest.mark.parametrize(
    ("subject", "broken"),
    [
        (Forgetful(), "no step writes into its input or tracks gradients"),
        (Social(), "a picture does not depend on those beside it"),
        (Drowsy(), "different pictures end in different streams"),
    ],
)
def test_a_subject_that_breaks_the_contract_fails_its_check(subject, broken):
    (check,) = [check for check in harness.subject_checks(subject) if check.name == broken]
    with pytest.raises(AssertionError):
        check()
