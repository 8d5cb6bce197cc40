"""The plugin is a guest: it takes no names of others, costs an unrelated project nothing, and gets along."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import harness.report.html  # an inner run forgets what it imports, and some libraries cannot be imported twice
import harness.running.session  # noqa: F401
from harness.running.option_table import OPTIONS
from support import folders

LATE = "support.zoo:late_reader"
QUICK = "--import-mode=importlib -p no:hypothesispytest -p no:anyio -p no:jaxtyping"
MATRIX = Path(__file__).parent / "neighbours" / "matrix.py"


@pytest.fixture
def run(pytester, tmp_path):
    """Run pytest in a user's project by the long names; a conftest may stand in it."""
    pytester.makeini(f"[pytest]\naddopts = {QUICK}\nfilterwarnings = error\n")
    pictures = folders.pictures(tmp_path / "pictures", count=96)

    def call(*arguments: str, quiet: str = "-p no:cacheprovider"):
        if not (pytester.path / "mine").exists():
            folders.claims(pytester.path / "mine")
        given = ["--claims-model", LATE, "--claims-data", str(pictures), "--claims-batch-size", "32"]
        return pytester.runpytest_inprocess(*given, *quiet.split(), *arguments, "mine")

    return call


def kept(pytester) -> list[tuple[str, str]]:
    records = json.loads((pytester.path / "out.json").read_text())["records"]
    return sorted((record["claim"], record["verdict"]) for record in records)


def test_a_project_with_options_of_these_names_starts_and_keeps_them(run, pytester):
    names = sorted(option.short_flag for option in OPTIONS if option.short_flag)
    lines = "".join(f"    parser.addoption({name!r}, default='theirs')\n" for name in names)
    pytester.makeconftest(f"def pytest_addoption(parser):\n{lines}")
    result = run("--device", "theirs", "--claims-claim", "told")
    assert result.parseoutcomes() == {"passed": 1, "reported": 1, "deselected": 6}


def test_a_name_that_another_took_before_stays_theirs_and_is_told(run, pytester):
    pytester.makeconftest(
        "pytest_plugins = ['harness.short_names']\n"
        "def pytest_addoption(parser):\n    parser.addoption('--device', default=None)\n"
    )
    result = run("--device", "theirs", "--claim", "told", "--claims-json", "out.json")
    result.stdout.fnmatch_lines(["claims: --device belongs to another plugin here; for claims say --claims-device"])
    result.stdout.fnmatch_lines(["--device 'theirs' went to another plugin; claims take it as --claims-device"])
    assert kept(pytester) == [("told", "reported")]


def test_short_and_long_names_are_one_option(run, pytester):
    pytester.makeconftest("pytest_plugins = ['harness.short_names']\n")
    assert run("--claim", "told", "--claims-claim", "holds").parseoutcomes()["deselected"] == 5
    result = run("--delta", "0.1", "--claims-delta", "0.2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--delta" in "\n".join(result.errlines)
    assert "are one option; allowed: one of them" in "\n".join(result.errlines)


def test_without_a_terminal_records_and_reports_are_written_all_the_same(run, pytester):
    run("-p", "no:terminal", "--claims-json", "out.json", "--claims-report", "out.md")
    assert len(kept(pytester)) == 7
    assert (pytester.path / "out.md").exists()


REPEAT = """
import pytest

@pytest.fixture
def step(request):
    return request.param

def pytest_generate_tests(metafunc):
    metafunc.fixturenames.append("step")
    metafunc.parametrize("step", range(2), indirect=True, scope="function")
"""


def test_a_claim_that_is_repeated_counts_once(run, pytester):
    pytester.makeconftest(REPEAT)
    result = run("--claims-json", "out.json", "--claims-report", "out.md", "--claims-claim", "fails")
    assert result.parseoutcomes() == {"passed": 2, "failed": 2, "deselected": 12}
    assert kept(pytester) == [("fails", "refuted")]


RERUN = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    for _ in range(2):
        for report in runtestprotocol(item, nextitem=nextitem, log=False):
            item.ihook.pytest_runtest_logreport(report=report)
    return True
"""


def test_a_claim_that_is_run_again_counts_once(run, pytester):
    pytester.makeconftest(RERUN)
    run("--claims-json", "out.json", "--junitxml", "out.xml", "--claims-claim", "fails")
    assert kept(pytester) == [("fails", "refuted")]


def test_the_last_failed_claims_are_asked_again_alone_and_a_claim_that_passed_is_known_all_the_same(run, pytester):
    run(quiet="")
    result = run("--lf", "--claims-claim", "holds", quiet="")
    assert "unknown claim" not in "\n".join([*result.outlines, *result.errlines])
    assert run("--lf", "--claims-json", "out.json", quiet="").parseoutcomes()["failed"] == 1
    assert [name for name, _ in kept(pytester)] == ["fails"]


def test_a_run_that_stops_early_says_on_terminal_and_page_what_is_missing(run, pytester):
    result = run("-x", "--claims-json", "out.json", "--claims-report", "out.md")
    text = " ".join(" ".join(result.outlines).split())  # it is wrapped
    assert text.count("PARTIAL: the run ended before 5 of its 7 claims did") == 1
    assert f"{LATE}: open" in text
    page = (pytester.path / "out.md").read_text()
    assert "partial: the run was interrupted" in page
    assert "PARTIAL" in page


def test_a_run_under_other_conditions_than_the_accepted_ones_is_told_so(run, pytester, monkeypatch):
    from harness.cli.__main__ import main

    run()
    monkeypatch.chdir(pytester.path)
    assert main(["accept", "--baseline", "mine/baselines/embedded.json"]) == 0
    assert "other conditions" not in " ".join(" ".join(run().outlines).split())
    result = run("--claims-max-images", "32", "--claims-json", "out.json")
    told = " ".join(" ".join(result.outlines).split())  # it may be wrapped anywhere
    assert "was accepted under other conditions" in told
    assert "max_images 32 instead of none" in told
    notes = json.loads((pytester.path / "out.json").read_text())["notes"]
    assert not any(str(pytester.path) in note for note in notes), "no path of this machine is in a report"


def test_wrong_pictures_are_refused_once_for_all_models_and_claims(pytester, tmp_path):
    folders.claims(pytester.path / "mine")
    pytester.makeini(f"[pytest]\naddopts = {QUICK}\n")
    eleven = folders.pictures(tmp_path / "eleven", count=22, classes=4)
    rows = (eleven / "labels.csv").read_text().replace(",3\n", ",11\n")
    (eleven / "labels.csv").write_text(rows)
    result = pytester.runpytest_inprocess("--claims-data", str(eleven), "mine")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in [*result.outlines, *result.errlines] if line.strip()]
    assert len(lines) <= 3, lines
    assert "index 11 is not a class of" in lines[0]
    assert "more model(s)" in lines[0]


def test_an_error_of_ours_is_a_line_and_with_a_long_traceback_all_of_it(run, pytester):
    folders.claims(pytester.path / "mine")
    file = pytester.path / "mine" / "planted" / "test_planted.py"
    file.write_text(
        file.read_text().replace("return retention(5)", "return Plan(arms={'a': Arm()}, effect=level('b'))")
    )
    text = "\n".join(run("--claims-claim", "fails").outlines)
    assert "'b'" in text
    assert "/harness/" not in text
    assert "/harness/" in "\n".join(run("--claims-claim", "fails", "--tb=long").outlines)


def test_comparisons_that_were_not_asked_for_are_not_told_of(pytester, tmp_path):
    root = Path(__file__).parents[1]
    given = ["--claims-model", "tiny_vit", "--claims-claim", "cls-early-shuffle-harmless", "--claims-max-images", "64"]
    given += ["--claims-cache", str(tmp_path), "-p", "no:cacheprovider", "--claims-baseline", "none"]
    result = pytester.runpytest_inprocess(*QUICK.split(), *given, str(root / "claims"))
    assert not any("was asked of no models" in line for line in result.outlines)
    assert any("cls-early-shuffle-harmless" in line for line in result.outlines)


def test_a_script_without_a_guard_is_not_run_again_by_the_workers(pytester, tmp_path):
    folders.claims(pytester.path / "mine")
    pictures = folders.pictures(tmp_path / "pictures", count=64)
    script = pytester.path / "script.py"
    script.write_text(
        "import pytest\n"
        "open('runs.txt', 'a').write('run\\n')\n"
        f"given = ['--claims-model', {LATE!r}, '--claims-model', 'support.zoo:early_carrier', '--claims-jobs', '2']\n"
        f"given += ['--claims-data', {str(pictures)!r}, '--claims-claim', 'told', '--claims-json', 'out.json']\n"
        f"pytest.main([*{QUICK.split()!r}, *given, 'mine'])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    subprocess.run([sys.executable, str(script)], cwd=pytester.path, env=environment, capture_output=True, check=True)
    assert (pytester.path / "runs.txt").read_text() == "run\n"
    assert [name for name, _ in kept(pytester)] == ["told", "told"]


def test_an_unrelated_project_pays_next_to_nothing(tmp_path):
    """Measured as the CPU time of what the plugin imports beyond pytest, the best of several starts."""
    code = "import pytest, time; t = time.process_time(); import harness.pytest_plugin; print(time.process_time() - t)"
    taken = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(5)
    ]
    assert min(taken) < 0.05
    (tmp_path / "test_plain.py").write_text("def test_plain():\n    assert True\n")
    check = "import sys, pytest; assert pytest.main(['-q', '-p', 'no:hypothesispytest', '-p', 'no:jaxtyping']) == 0\n"
    check += "big = {'torch', 'timm', 'pydantic', 'yaml', 'scipy'} & set(sys.modules); assert not big, big"
    subprocess.run([sys.executable, "-c", check], cwd=tmp_path, check=True, capture_output=True)


@pytest.mark.parametrize("name", ["Armm", "Plann", "isolate_clss"])
def test_a_wrong_name_has_its_nearest_match_also_in_an_import(name):
    done = subprocess.run([sys.executable, "-c", f"from harness import {name}"], capture_output=True, text=True)
    assert f"unknown name '{name}' in harness. Did you mean" in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("ImportError")


def test_the_matrix_of_neighbours_names_its_cases():
    listed = json.loads(subprocess.run([sys.executable, MATRIX, "--list"], capture_output=True, check=True).stdout)
    promised = {"pytest-playwright", "pytest-rerunfailures", "pytest-repeat", "pytest-xdist", "pytest-randomly"}
    promised |= {"pytest-split", "pytest-timeout", "pytest-html", "pytest-cov", "-p no:terminal", "--lf"}
    assert promised <= set(listed)
