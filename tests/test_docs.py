"""Every guide is true: its files are written, its Python runs, its commands pass, its names exist."""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GUIDES = ("add_a_claim.md", "add_a_readout_or_edit.md", "add_a_model_family.md")
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
FILE = re.compile(r"[Ff]ile\s+`([^`]+)`:\s*$")
REFUTED = 1  # pytest's exit code where a claim fails: a result, as every guide says


def blocks(name: str) -> list[tuple[str, str, str]]:
    """List the blocks of a guide: language, text, and the file that it is ("" for none)."""
    text, found = (DOCS / name).read_text(encoding="utf-8"), []
    for match in BLOCK.finditer(text):
        named = FILE.search(text[: match.start()].rstrip())
        found.append((match[1], match[2], named[1] if named else ""))
    return found


def follow(name: str, folder: Path) -> list[str]:
    """Do what a guide says, in a folder; return what its commands and its Python printed."""
    told = []
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": ""}
    for language, text, file in blocks(name):
        if file:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text, encoding="utf-8")
        elif language in ("sh", "python"):
            command = ["bash", "-ec", text] if language == "sh" else [sys.executable, "-c", text]
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
            claims = language == "sh" and "pytest my_claims" in text
            assert done.returncode in ((0, REFUTED) if claims else (0,)), f"{text}\n{done.stdout}\n{done.stderr}"
            assert " error" not in done.stdout, done.stdout
            told.append(done.stdout)
    return told


@pytest.mark.parametrize("name", GUIDES)
def test_a_guide_can_be_followed_from_an_empty_folder(name, tmp_path):
    for _, text, file in blocks("add_a_claim.md") if name != "add_a_claim.md" else ():  # which the others follow
        if file:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(text, encoding="utf-8")
    told = follow(name, tmp_path)
    assert told
    if name == "add_a_claim.md":
        assert "1 claim, 0 mistakes" in told[0]
        assert "cls-can-be-noise-early" in told[1]
        assert "tiny_vit" in told[1]
        assert re.search(r"cls-can-be-noise-early (supported|refuted|vacuous|inconclusive) \d+", told[2]), told[2]


def test_a_new_claim_takes_at_most_forty_lines_and_imports_from_the_face_alone():
    parts = {file: text for _, text, file in blocks("add_a_claim.md") if file}
    assert sum(len(text.strip().splitlines()) for text in parts.values()) <= 40
    code = parts["my_claims/demo/test_demo.py"]
    assert [line for line in code.splitlines() if "import" in line] == [
        "from harness import Arm, Plan, claim, ratio, shuffle_cls"
    ]
    assert set(yaml.safe_load(parts["my_claims/demo/ledger.yaml"])) == {"source", "claims"}


def test_the_claim_of_the_readme_is_complete_in_thirty_lines_and_runs(tmp_path):
    parts = {file: text for _, text, file in blocks("../README.md") if file}
    assert sum(len(text.strip().splitlines()) for text in parts.values()) < 30
    for file, text in parts.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    for command in ("harness.cli check my_claims", "pytest my_claims --claims-model tiny_vit --claims-no-cache"):
        module = command.replace("harness.cli", "harness.cli.__main__").split()
        done = subprocess.run([sys.executable, "-m", *module], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode in (0, REFUTED if "pytest" in command else 0), done.stdout + done.stderr
    assert "cls-can-be-kept-apart" in done.stdout
    assert "accuracy kept when the class token is kept apart" in " ".join(done.stdout.split())


def test_the_notebook_runs_from_top_to_bottom_to_a_curve_that_is_drawn(monkeypatch):
    pytest.importorskip("pandas")
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    monkeypatch.chdir(ROOT)
    names: dict = {}
    for cell in json.loads((DOCS / "curves.ipynb").read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs"), "a notebook is kept without outputs"
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert len(names["kept"]) == names["record"].context.depth
    (line,) = names["axes"].lines
    assert list(line.get_ydata()) == [point[1] for point in names["record"].curves["retention"]]


def hops() -> list[str]:
    text = (DOCS / "from_picture_to_verdict.md").read_text(encoding="utf-8")
    return re.findall(r"^\| \d+ \| `(harness[\w.]+:\w+)`", text, re.MULTILINE)


def test_the_walk_of_a_number_has_ten_hops_at_most_and_every_place_exists():
    assert 5 <= len(hops()) <= 10
    for hop in hops():
        module, name = hop.split(":")
        assert hasattr(importlib.import_module(module), name), hop


def test_the_walk_of_a_number_never_climbs_back():
    from test_layering import ORDER

    rooms = [hop.split(":")[0].split(".")[1] for hop in hops()]
    places = [ORDER.index(room) for room in rooms]
    assert places == sorted(places), rooms


def test_links_between_pages_lead_somewhere():
    for page in (*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "fixtures" / "README.md"):
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_paths_named_in_pages_exist():
    for page in (*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for path in re.findall(r"`((?:harness|fixtures|tests|claims|docs)/[\w/.]*)`", page.read_text(encoding="utf-8")):
            assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_the_citation_names_the_papers_of_the_sources():
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    for ledger in (ROOT / "claims").glob("*/ledger.yaml"):
        source = yaml.safe_load(ledger.read_text(encoding="utf-8"))["source"]
        assert source.get("arxiv", source.get("url", "")) in cited, ledger
