"""Option values, ledgers, tables, baselines and histories that nobody would write: an answer or one sentence each.

    python tests/faults/fuzz.py --examples 2000     # of each of the five kinds

Anything but a result or a ClaimsError of at most three lines is a failure, and so is an example of over five seconds.
"""

import argparse
import contextlib
import io
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from harness.cli.__main__ import main as claims
from harness.cli.__main__ import parser
from harness.errors import ClaimsError
from harness.images.tables import rows
from harness.judging.catalogue import specs_below
from harness.results.baselines import accepted
from harness.results.history import History
from harness.results.run_file import read_document
from harness.running.option_table import OPTIONS
from harness.running.options import parse

SECONDS, LINES, LONGEST = 5.0, 3, 3000
NASTY = (
    *(
        "",
        " ",
        "\0",
        "\x1b[31m",
        "\u202e",
        "\udcff",
        "..",
        "/",
        "//",
        "~",
        "-",
        "--",
        "nan",
        "inf",
        "-1",
        "1e999",
        "0x10",
    ),
    *(
        "9" * 5000,
        "a" * 300,
        "x" * 100_000,
        "embedded:",
        "embedded:size=" + "9" * 50,
        "embedded:=,=,",
        "hfds/",
        "json:loads",
    ),
    *(
        "../escape",
        "name=../x",
        "=HYPERLINK(1)",
        "<script>",
        "a,b=c,d",
        "!!int abc",
        "{",
        "[",
        "%s",
        "{0}",
        "null",
        "true",
    ),
)
WORDS = st.one_of(st.sampled_from(NASTY), st.text(max_size=40))
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), WORDS)
TREES = st.recursive(
    PLAIN, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WORDS, inner, max_size=4))
)
ENTRY = {
    "id": "a-claim", "code": "X", "statement": "s", "place": "p", "protocol": "p", "tier": "core", "control": "c",
    "published": {"value": 1, "text": "t"}, "bounds": {"bound": {"value": 1, "direction": ">=", "origin": "o"}},
    "needs": [], "budget": 64, "delta": 0.05, "version": 1,
}  # fmt: skip
SOURCE = {"key": "k", "title": "t", "authors": "a", "year": 2024, "url": "https://example.org"}
BOMB = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" if n else "a0: &a0 [x, x]" for n in range(40))
MERGED = "\n".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" if n else "a0: &a0 {k: v}" for n in range(40)
)
YAML = st.sampled_from(
    (
        *(BOMB, MERGED, "\n".join(f"k{n}: 1" for n in range(20_000)), "a: " + "9" * 5000),
        *("a: 2026-13-45", "a: !!int abc", "a: !!float x", "a: !!timestamp x", "a: !!binary '*'"),
        *("a: !!python/object:os.system x", "a: &a [*a]", "a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]", "? [1]\n: 2"),
        *("a: 1\na: 2", "- " * 500, "[" * 5000, "{a: " * 300, "%YAML 9.9\n---\na: 1", "--- a\n--- b", "\ufeffa: 1"),
        *("source: {}\nclaims: [{<<: 7}]", "claims: &x\n- *x\nsource: 1", "!!set {a, b}", "!!omap [a: 1]"),
        "a: !!str {b: c}",
    )
)


def options() -> tuple[SearchStrategy, Callable]:
    values = st.dictionaries(st.sampled_from([option.dest for option in OPTIONS]), WORDS, max_size=4)
    words = st.lists(
        st.one_of(WORDS, st.sampled_from(["--last", "--run", "--bound", "--model", "--cache", "last"])), max_size=3
    )
    names = st.sampled_from(
        ["list", "explain", "judge", "accept", "report", "history", "diff", "plan", "visualize", "models"]
    )

    def ask(folder: Path, example: tuple) -> None:
        given_, name, more = example
        repeatable = {option.dest for option in OPTIONS if option.repeatable}
        with contextlib.suppress(ClaimsError):
            parse({key: [value] if key in repeatable else value for key, value in given_.items()}, {})
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            try:
                if name in ("plan", "visualize", "models"):  # models are built, which takes seconds: arguments alone
                    parser().parse_args([name, *more])
                else:
                    claims([name, *more])
            except SystemExit:
                pass
        told = [line for line in said.getvalue().splitlines() if line.startswith("claims ")]
        if any(not line.isprintable() for line in told):
            raise AssertionError(f"something in {told} acts on a terminal")

    return st.tuples(values, names, words), ask


def ledgers() -> tuple[SearchStrategy, Callable]:
    changed = st.tuples(st.sampled_from(sorted(ENTRY)), TREES).map(lambda pair: {**ENTRY, pair[0]: pair[1]})
    made = st.builds(lambda entry: {"source": SOURCE, "claims": [entry]}, changed)
    other = st.builds(lambda source: {"source": source, "claims": [ENTRY]}, TREES)
    texts = st.one_of(YAML, st.text(max_size=80), st.one_of(made, other, TREES).map(lambda tree: json.dumps(tree)))

    def ask(folder: Path, text: str) -> None:
        (folder / "ledger.yaml").write_text(text, encoding="utf-8", errors="replace")
        specs_below(folder)

    return texts, ask


def tables() -> tuple[SearchStrategy, Callable]:
    lines = st.lists(st.lists(WORDS, max_size=4).map(",".join), max_size=5).map("\n".join)
    texts = st.one_of(
        st.binary(max_size=80), lines.map(lambda text: ("file,index\n" + text).encode("utf-8", "replace"))
    )

    def ask(folder: Path, data: bytes) -> None:
        (folder / "labels.csv").write_bytes(data)
        list(rows(folder / "labels.csv", ("file", "index"), "wnid"))

    return texts, ask


def baselines() -> tuple[SearchStrategy, Callable]:
    entry = st.fixed_dictionaries({"verdicts": TREES, "conditions": TREES})
    made = st.one_of(
        TREES, st.builds(lambda inner: {"models": inner}, st.one_of(TREES, st.dictionaries(WORDS, entry, max_size=2)))
    )
    records = st.builds(lambda inner: {"format": 1, "records": inner}, TREES)
    texts = st.one_of(st.binary(max_size=60), st.one_of(made, records).map(lambda tree: json.dumps(tree).encode()))

    def ask(folder: Path, data: bytes) -> None:
        (folder / "file.json").write_bytes(data)
        for reader in (accepted, read_document):
            with contextlib.suppress(ClaimsError):
                reader(folder / "file.json")

    return texts, ask


def histories() -> tuple[SearchStrategy, Callable]:
    place = Path(tempfile.mkdtemp())
    store = History(place)
    store.close()
    cells = st.one_of(TREES.map(json.dumps), st.binary(max_size=30), st.integers(-(2**60), 2**60), st.text(max_size=20))
    columns = (
        "run.versions",
        "run.time",
        "record.text",
        "context.text",
        "names.data",
        "chunk.numbers",
        "measurement.key",
        "arm.count",
    )

    def ask(folder: Path, example: tuple[str, object]) -> None:
        (table, _, column), value = example[0].partition("."), example[1]
        value = value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        with sqlite3.connect(place / "history.sqlite") as database:
            for name in ("arm", "record", "run", "context", "names", "chunk", "measurement"):
                database.execute(f"DELETE FROM {name}")
            database.execute("INSERT INTO run VALUES (1, 'r', 't', 'c', '{}', 'm')")
            database.execute("INSERT INTO context VALUES ('h', '{}')")
            database.execute("INSERT INTO record VALUES (1, 'r', 't', 'c', 'm', '{}', 'h')")
            database.execute("INSERT INTO arm VALUES (1, 'a', 'i', 2, NULL)")
            database.execute("INSERT INTO chunk VALUES ('i', 0, 2, ?, '[]')", (b"\0" * 16,))
            database.execute("INSERT INTO measurement VALUES ('i', '{}')")
            database.execute("INSERT INTO names VALUES ('n', 1, ?)", (b"x",))
            with contextlib.suppress(sqlite3.IntegrityError):
                database.execute(f"UPDATE {table} SET {column} = ?", (value,))
        database.close()
        history = History(place)
        asked = (history.runs, history.records, history.latest, history.seeds, history.claims)
        for ask_ in (
            *asked,
            lambda: history.outcomes("r", "m", "c"),
            lambda: history.key("i"),
            lambda: history.names("n"),
        ):
            with contextlib.suppress(ClaimsError):
                ask_()
        history.close()

    return st.tuples(st.sampled_from(columns), cells), ask


KINDS = {"options": options, "ledgers": ledgers, "tables": tables, "baselines": baselines, "histories": histories}


def fuzz(kind: str, examples: int, start: int = 0) -> tuple[int, float]:
    """Try examples of one kind; give how many, and the seconds of the slowest. Raises what a failure raised."""
    strategy, ask = KINDS[kind]()
    done, slowest = 0, 0.0

    # Found failures are shown as they are: shrinking takes longer than finding.
    @seed(start)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def every(example: object) -> None:
        nonlocal done, slowest
        began = time.monotonic()
        try:
            ask(folder, example)
        except ClaimsError as error:
            if len(str(error).splitlines()) > LINES or len(str(error)) > LONGEST:
                raise AssertionError(f"too long: {error}") from error
        took = time.monotonic() - began
        done, slowest = done + 1, max(slowest, took)
        assert took < SECONDS, f"{took:.1f} s"

    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        folder = Path(place)
        every()
    return done, slowest


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--examples", type=int, default=2000)
    arguments.add_argument("--seed", type=int, default=0)
    asked = arguments.parse_args()
    total, failed = 0, 0
    for kind in KINDS:
        try:
            done, slowest = fuzz(kind, asked.examples, asked.seed)
        except Exception as error:  # noqa: BLE001 - shown and counted
            failed += 1
            print(f"| fuzz: {kind} | failed | {type(error).__name__}: {error!s:.600} |")
            continue
        total += done
        print(f"| fuzz: {kind} | {done} examples | slowest {slowest:.2f} s |", flush=True)
    print(f"| fuzz in all | {total} examples | {failed} failures |")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
