"""A claim from `claims new` runs as it is, tells its planted models apart, and `claims check` finds what is wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.__main__ import main
from harness.cli.new import KINDS


@pytest.fixture
def made(tmp_path, monkeypatch, capsys):
    """Make a claim of one kind in an empty folder; whatever was printed is read away."""
    monkeypatch.chdir(tmp_path)

    def call(kind: str):
        assert main(["new", f"my-{kind}", "--kind", kind]) == 0
        capsys.readouterr()
        return tmp_path / "my_claims" / f"my_{kind}"

    return call


def test_every_kind_runs_as_it_is_and_tells_its_planted_models_apart(made, tmp_path):
    for kind in KINDS:
        made(kind)
    command = [sys.executable, "-m", "pytest", "my_claims", "-k", "planted", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert f"{2 * len(KINDS)} passed" in done.stdout


def test_every_kind_passes_the_check_and_hears_what_is_to_be_written(made, capsys):
    for kind in KINDS:
        made(kind)
    assert main(["check", "my_claims"]) == 0
    text = capsys.readouterr().out
    assert "4 claims, 0 mistakes" in text
    assert "link of the source" in text


def test_a_folder_that_exists_and_an_id_that_is_none_are_refused(made, capsys):
    made("arm")
    assert main(["new", "my-arm"]) == 2
    assert "exists; take another id" in capsys.readouterr().err
    assert main(["new", "My Finding"]) == 2
    assert "allowed: small letters and digits, joined by hyphens" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "before", "after", "told"),
    [
        ("test_my_arm.py", 'ratio("edited"', 'ratio("edit"', "unknown arm 'edit'"),
        ("test_my_arm.py", '@claim("my-arm")', "", "no function below my_claims is marked @claim('my-arm')"),
        ("test_my_arm.py", "refuse_shallow(card, 2)", "card.blocks", "raised AttributeError"),
        ("ledger.yaml", "  bounds:\n    bound:", "  bounds:\n    other:", "the ledger must hold every bound"),
    ],
)
def test_a_mistake_is_found_before_any_model_is_loaded(made, capsys, file, before, after, told):
    path = made("arm") / file
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    assert main(["check", "my_claims"]) == 1
    out = capsys.readouterr().out
    assert told in out
    assert "1 claim, 1 mistake\n" in out


def test_a_ledger_that_cannot_be_read_is_refused(made, capsys):
    path = made("arm") / "ledger.yaml"
    path.write_text(path.read_text().replace("tier: core", "teir: core"))
    assert main(["check", "my_claims"]) == 2
    assert "did you mean 'tier'?" in capsys.readouterr().err
    path.write_text(path.read_text().replace("teir: core", "tier: core").replace("class_token,", "class_tokn,"))
    assert main(["check", "my_claims"]) == 2
    assert "Did you mean 'class_token'" in capsys.readouterr().err


def test_a_file_that_raises_while_it_is_imported_is_named_with_its_line(made, capsys):
    path = made("arm") / "test_my_arm.py"
    path.write_text(f"import sys\nsys.exit(3)\n{path.read_text()}")
    assert main(["check", "my_claims"]) == 2
    assert "test_my_arm.py line 2 raised SystemExit while it was imported: 3" in capsys.readouterr().err


def test_a_plan_without_its_control_is_a_mistake(made, capsys):
    path = made("arm") / "test_my_arm.py"
    path.write_text("".join(line for line in path.open() if "rival" not in line))
    assert main(["check", "my_claims"]) == 1
    assert "wrong: my-arm on tiny_vit: its plan has no control" in capsys.readouterr().out


@pytest.mark.parametrize("path", ["nowhere", "empty", "a ledger.yaml"])
def test_what_is_no_folder_of_claims_is_told_without_an_option_that_there_is_not(tmp_path, monkeypatch, capsys, path):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("a ledger.yaml").write_text("claims: []")
    assert main(["check", path]) == 2
    told = capsys.readouterr().err
    assert f"{path!r} is no folder with a ledger.yaml; allowed: a folder of claims" in told
    assert "--claims" not in told
