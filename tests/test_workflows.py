"""The workflow files say what they mean to: parsed, pinned, and running commands that exist."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from harness.cli.__main__ import parser

FOLDER = Path(__file__).parents[1] / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))


def steps(path: Path) -> list[dict]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert document["name"] == path.stem
    assert True in document, "`on` is read as a truth value by YAML 1.1; GitHub reads the word"
    return [step for job in document["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_workflow_parses_and_every_action_is_pinned_to_a_major_version(path):
    actions = [step["uses"] for step in steps(path) if "uses" in step]
    assert actions
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in actions)


def test_the_night_is_one_command_that_a_reader_can_run():
    commands = [shlex.split(step["run"]) for step in steps(FOLDER / "nightly.yml") if "run" in step]
    (nightly,) = [command for command in commands if command[0] == ".venv/bin/claims"]
    asked = parser().parse_args(nightly[1:])
    assert asked.command == "nightly"
    assert len(commands) == 2, "besides it only the installation"


def test_the_night_uploads_what_it_leaves_behind_also_after_a_failure_and_keeps_its_history():
    found = {step["uses"].partition("@")[0]: step for step in steps(FOLDER / "nightly.yml") if "uses" in step}
    upload = found["actions/upload-artifact"]
    assert upload["if"] == "always()"
    assert upload["with"]["path"] == ".claims/nightly/"
    assert upload["with"]["include-hidden-files"] is True, "the folder's name begins with a dot"
    assert found["actions/cache"]["with"]["path"] == ".claims/history.sqlite"
    assert found["actions/setup-python"]["with"]["cache"] == "pip"
