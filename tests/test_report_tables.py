"""Tables hold every result as it was recorded; Markdown shows the matrix; neither lets a name act."""

import csv
import io
import json
import re
import sys
from datetime import UTC, datetime

import pandas
import pytest

from harness.errors import ClaimsError
from harness.report import terminal
from harness.report.escaping import FORMULA
from harness.report.export import CURVE_KINDS, RESULT_KINDS, csv_text, curve_rows, parquet_bytes, result_rows
from harness.report.html import html_report
from harness.report.markdown import markdown_report
from harness.report.result_table import RESULT_COLUMNS, junit_properties
from harness.report.write import write_report
from support.records import HOSTILE, context, finding, record, spec

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RECORDS = [
    record(expected="supported", time="2026-01-02T00:00:00+00:00"),
    record(model="other", verdict="refuted", effect=finding(estimate=-0.25)),
    record(model="third", verdict="not applicable"),
]
hostile = pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())


def everywhere(name: str) -> dict:
    made = context(resolved=name, images=name, family=name)
    return record(claim=name, model=name, reason=name, source=name, effect=finding(label=name), context=made)


def markdown(*records, **more) -> str:
    return markdown_report(records, {"stays": spec()}, title=more.pop("title", "T"), now=NOW, **more)


def test_a_csv_holds_one_row_per_result_and_one_per_point_of_a_curve():
    table = pandas.read_csv(io.StringIO(csv_text(result_rows(RECORDS), RESULT_KINDS)))
    assert list(table.columns) == list(RESULT_KINDS)
    assert list(table["verdict"]) == ["supported", "refuted", "not applicable"]
    assert table["effect"][:2].tolist() == [0.99, -0.25]
    assert table["effect"].isna()[2]
    assert (table["low"][0], table["high"][0], table["bound"][0]) == (0.97, 1.0, 0.96)
    assert (table["control"][0], table["images"][0], table["pictures"][0]) == (0.1, 64, "pictures")
    curves = pandas.read_csv(io.StringIO(csv_text(curve_rows(RECORDS), CURVE_KINDS)))
    assert curves["layer"].tolist() == [0, 1, 2] * 2
    assert curves["estimate"].tolist() == [1.0, 0.8, 0.1] * 2


def test_parquet_holds_the_same_as_csv_with_its_kinds():
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = parquet.read_table(pyarrow.BufferReader(parquet_bytes(result_rows(RECORDS), RESULT_KINDS)))
    assert table.schema.names == list(RESULT_KINDS)
    assert table.schema.field("images").type == pyarrow.int64()
    text = pandas.read_csv(io.StringIO(csv_text(result_rows(RECORDS), RESULT_KINDS)))
    for name in ("claim", "model", "verdict", "effect", "bound", "weights", "time"):
        given = [None if pandas.isna(value) else value for value in text[name]]
        assert table.column(name).to_pylist() == given, name


def test_a_table_without_rows_keeps_its_columns():
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    assert csv_text([], CURVE_KINDS) == ",".join(CURVE_KINDS) + "\r\n"
    table = parquet.read_table(pyarrow.BufferReader(parquet_bytes([], CURVE_KINDS)))
    assert (table.num_rows, table.schema.names) == (0, list(CURVE_KINDS))


@hostile
def test_no_cell_of_a_csv_is_run_by_a_spreadsheet(name):
    for rows, kinds in ((result_rows([everywhere(name)]), RESULT_KINDS), (curve_rows([everywhere(name)]), CURVE_KINDS)):
        text = csv_text(rows, kinds)
        text.encode("utf-8")
        assert "\x1b" not in text
        for line in csv.DictReader(io.StringIO(text, newline="")):
            assert None not in line, "no cell breaks out of its column"
            for column, cell in line.items():
                assert kinds[column] == "number" or not cell.startswith(FORMULA), (column, cell)


@hostile
def test_parquet_takes_any_name(name):
    pytest.importorskip("pyarrow")
    assert parquet_bytes(result_rows([everywhere(name)]), RESULT_KINDS)


def test_parquet_without_its_library_is_refused_with_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ClaimsError, match=r"executable-claims\[parquet\]"):
        parquet_bytes([], CURVE_KINDS)


def test_markdown_shows_the_matrix_with_verdict_effect_and_interval():
    lines = markdown(*RECORDS).splitlines()
    assert "| claim | `tiny` | `other` | `third` |" in lines
    row = next(line for line in lines if line.startswith("| `stays`"))
    cells = ["✓ supported 0.990 \\[0.970, 1.000\\]", "✗ refuted \\-0.250 \\[\\-0.270, \\-0.240\\]", "– not applicable"]
    assert row == f"| `stays` | {' | '.join(cells)} |"
    assert "- the model has no class token: `stays`" in lines


def test_markdown_tells_what_changed_first():
    text = markdown(record(expected="refuted"), record(model="other", expected="supported"))
    changed = text.index("### Verdicts that changed")
    assert changed < text.index("| claim |")
    assert "`stays` on `tiny`: expected refuted, found ✓ supported; it is so" in text
    assert "on `other`: expected" not in text


@hostile
def test_no_name_breaks_out_of_markdown(name):
    text = markdown(
        everywhere(name), record(model="b", verdict="not applicable", reason=name), title=name, notes=[name]
    )
    text.encode("utf-8")
    assert "\x1b" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in rows}) == 1, "every row has the same cells"
    outside = "".join(part for number, part in enumerate(_spans(text)) if number % 2 == 0)
    assert "<script" not in outside
    assert "<img" not in outside
    assert "@team" not in outside


def _spans(text: str) -> list[str]:
    """Split at code spans: parts of even number stand outside."""
    parts, rest = [], text
    while found := re.search(r"(?<![\\`])(`+)(?!`)(.*?)(?<!`)\1(?!`)", rest):
        parts += [rest[: found.start()], found.group(2)]
        rest = rest[found.end() :]
    return [*parts, rest]


@pytest.mark.parametrize("suffix", [".html", ".md", ".csv", ".parquet", ".HTML"])
def test_the_suffix_of_the_path_names_the_format(tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    files = write_report(tmp_path / "new folder" / f"out{suffix}", RECORDS, {"stays": spec()}, now=NOW)
    starts = {".html": b"<!DOCTYPE html>", ".md": b"## ", ".csv": b"claim,", ".parquet": b"PAR1"}
    assert all(path.read_bytes().startswith(starts[suffix.lower()]) for path in files)
    beside = [f"out.curves{suffix}"] if suffix in (".csv", ".parquet") else []
    assert [path.name for path in files] == [f"out{suffix}", *beside]


def test_a_report_of_nothing_and_one_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(ClaimsError, match="no records"):
        write_report(tmp_path / "a.md", [], {}, now=NOW)
    (tmp_path / "file").write_text("")
    with pytest.raises(ClaimsError, match="cannot write the report"):
        write_report(tmp_path / "file" / "a.md", RECORDS, {}, now=NOW)


def test_every_table_of_results_has_the_columns_of_the_one_list():
    one = record()
    assert csv_text(result_rows([one]), RESULT_KINDS).splitlines()[0].split(",") == [
        column.name for column in RESULT_COLUMNS
    ]
    page = json.loads(re.search('{"fields".*?(?=</script>)', html_report([one], {}, title="t", now=NOW))[0])
    texts = dict(zip(page["fields"], (page["strings"][at] for at in page["results"][0][2]), strict=True))
    heads = terminal.summary([one], terminal.WIDE).splitlines()[1]
    properties = dict(junit_properties(one))
    for column in RESULT_COLUMNS:
        if column.page:
            assert column.page.heading in page["headings"]
            assert texts[column.page.heading] == column.page.text(one)
        if column.terminal:
            assert column.terminal.heading in heads
        if column.junit:
            assert properties[f"claims.{column.junit.heading}"] == column.junit.text(one)


@pytest.mark.parametrize("verdict", ["supported", "not applicable"])
def test_every_column_has_a_value_of_its_kind_or_none(verdict):
    kinds = {"text": str, "whole": int, "number": (int, float)}
    for column in RESULT_COLUMNS:
        value = column.value(record(verdict=verdict))
        assert value is None or isinstance(value, kinds[column.kind]), column.name
