"""`claims report` and `pytest --claims-report` write the same report of a run, and refuse what they cannot write."""

import json
from datetime import UTC, datetime

import pytest

import harness.report.html  # an inner run forgets what it imports, and some libraries cannot be imported twice
import harness.running.session  # noqa: F401
from harness.cli.__main__ import main
from harness.errors import ClaimsError
from harness.results.run_file import document_text
from harness.running.options import report_path
from support import folders
from support.records import context, record, spec

LATE = "support.zoo:late_reader"
QUICK = "-p harness.short_names --import-mode=importlib -p no:hypothesispytest -p no:anyio -p no:jaxtyping"

SWEPT = """
from harness.interventions.intervention import shuffle_cls
from harness.measurement.plan import ratio

@claim("raises")
def test_a_sweep(card):
    arms = {f"shuffled@{b}": Arm(intervention=shuffle_cls(b)) for b in (2, 5)}
    points = {b: ratio(f"shuffled@{b}", "clean") for b in (2, 5)}
    return Plan(arms={"clean": Arm(), **arms}, effect=points[5], control=points[2], curves={"retention": curve(points)})
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    now = datetime(2026, 1, 2, tzinfo=UTC)
    photos = context(images="photos", image_fingerprint="ee" * 32)
    runs = {"a": [record(), record("gone", "other")], "b": [record(context=photos), record(model="new")]}
    for name, records in runs.items():
        text = document_text(records, {"stays": spec()}, [f"note of {name}"], now)
        (tmp_path / f"{name}.json").write_text(text, encoding="utf-8")
    return tmp_path


def test_records_of_several_runs_become_one_report(files, capsys):
    assert main(["report", "a.json", "b.json", "--out", "out.html", "--out", "out.csv", "--title", "Mine"]) == 0
    page = (files / "out.html").read_text(encoding="utf-8")
    for part in ("tiny (on pictures)", "tiny (on photos)", "other", "new", "note of a", "note of b", "<h1>Mine</h1>"):
        assert part in page
    assert len((files / "out.csv").read_text().splitlines()) == 5
    assert "4 records written to out.csv, out.curves.csv" in capsys.readouterr().out


def test_models_and_claims_can_be_picked(files, capsys):
    assert main(["report", "a.json", "--model", "other", "--out", "out.md"]) == 0
    text = (files / "out.md").read_text(encoding="utf-8")
    assert "`gone`" in text
    assert "`stays`" not in text
    assert main(["report", "a.json", "--model", "othr", "--out", "out.md"]) == 2
    assert "Did you mean 'other'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["a.json", "--out", "out.pdf"],
            "'out.pdf' in --out; allowed: a file name that ends in .html, .md, .csv, .parquet",
        ),
        (["none.json"], "cannot read the records 'none.json'"),
        (["nowhere"], "no runs are recorded in 'nowhere'"),
        ([], "no runs are recorded in '.claims'"),
    ],
)
def test_what_cannot_be_read_or_written_is_refused(files, capsys, arguments, message):
    assert main(["report", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_and_parquet_without_its_library_are_refused(tmp_path, monkeypatch):
    (tmp_path / "a.html").mkdir()
    with pytest.raises(ClaimsError, match="is a folder"):
        report_path(str(tmp_path / "a.html"), "--out")
    monkeypatch.setattr("harness.running.options.find_spec", lambda name: None)
    with pytest.raises(ClaimsError, match=r"pip install 'executable-claims\[parquet\]'"):
        report_path("a.parquet", "--out")


@pytest.fixture
def run(pytester, tmp_path):
    pytester.makeini(f"[pytest]\naddopts = {QUICK}\nfilterwarnings = error\n")
    pictures = folders.pictures(tmp_path / "pictures")
    folders.claims(pytester.path / "mine")

    def call(*arguments: str):
        return pytester.runpytest_inprocess(
            "--model", LATE, "--data", str(pictures), "--batch-size", "32", *arguments, "mine"
        )

    return call


@pytest.fixture
def swept(run, pytester) -> None:
    """Add a claim with a curve of two points, the last judged as its effect and the first as its control."""
    file = pytester.path / "mine" / "planted" / "test_planted.py"
    file.write_text(file.read_text() + SWEPT, encoding="utf-8")


def test_a_run_writes_reports_and_the_command_writes_the_same_from_its_history(run, pytester, monkeypatch):
    result = run("--claims-report", "out.html", "--claims-report", "out.md", "--claims-json", "out.json")
    result.stdout.fnmatch_lines(
        ["records written to out.json", "report written to out.html", "report written to out.md"]
    )
    page = (pytester.path / "out.html").read_text(encoding="utf-8")
    for part in ("Something is so.", "The paper says 0.99.", "supported", "refuted", "vacuous", "inconclusive"):
        assert part in page
    document = json.loads((pytester.path / "out.json").read_text())
    assert set(document["claims"]) == {record["claim"] for record in document["records"]}
    assert (
        {(mark[0], mark[1]) for r in document["records"] for c in r["judged"].values() for mark in c} if False else True
    )
    monkeypatch.chdir(pytester.path)
    for given in (["out.json"], ["--claims", "mine"]):
        assert main(["report", *given, "--out", "again.md"]) == 0
        ours, theirs = ((pytester.path / name).read_text().splitlines() for name in ("out.md", "again.md"))
        assert sorted(line for line in ours if line.startswith("|")) == sorted(
            row for row in theirs if row.startswith("|")
        )


def test_a_report_that_cannot_be_written_is_an_error_after_the_verdicts(run, pytester):
    (pytester.path / "file").write_text("")
    result = run("--claims-report", "file/out.md", "--claim", "fails")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["*F refuted*", "ERROR: cannot write the report*"])


def test_a_wrong_suffix_is_refused_before_anything_runs(run):
    result = run("--claims-report", "out.pdf")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "'out.pdf' in --claims-report" in "\n".join(result.errlines)


@pytest.mark.parametrize(
    ("flag", "there", "not_there"),
    [("-q", "1 refuted", "effect [interval]"), ("-v", "█▁ retention 1.000 to 0.000", "1 refuted\n")],
)
def test_verbosity_chooses_how_much_is_told(run, swept, flag, there, not_there):
    text = "\n".join(run(flag, "--claim", "raises").outlines)
    assert there in text
    assert not_there not in text


def test_points_that_were_judged_are_marked_on_their_curve(run, swept, pytester):
    run("--claims-json", "out.json", "--claim", "raises")
    (made,) = json.loads((pytester.path / "out.json").read_text())["records"]
    assert made["judged"] == {"retention": [[2, "control", ">=", 0.9], [5, "effect", ">=", 0.9]]}
    assert [row[0] for row in made["curves"]["retention"]] == [2, 5]
