"""The plugin beside others: each is installed into a throwaway environment, and two claims are run there.

    python tests/neighbours/matrix.py             # every neighbour
    python tests/neighbours/matrix.py pytest-cov  # one of them
    python tests/neighbours/matrix.py --list      # their names, as JSON

The environment borrows the packages of the one that runs this script, so that nothing large is installed twice. One
claim is supported by the model and one is refuted, so pytest ends with 1; each must be in the records exactly once.
Prints a table with versions, and ends with 1 where a neighbour did not get along.
"""

import argparse
import json
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT = 300.0  # seconds for one run of pytest
LEDGER = """
source: {key: demo, title: A demonstration, authors: Nobody, year: 2026, url: "https://example.org"}
claims:
- &entry
  id: early
  code: D1
  tier: core
  statement: The class token may be exchanged after the first block.
  place: section 1
  protocol: Exchange class tokens of neighbouring pictures.
  published: {value: 0.99, text: hardly anything is lost}
  bounds: {bound: {value: 0.5, direction: ">=", origin: "chosen for this check"}}
  control: The same after the last block.
  needs: [class_token, labels]
  budget: 512
  delta: 0.05
  version: 1
- {<<: *entry, id: late}
"""
CLAIMS = """
from harness import Arm, Plan, claim, ratio, shuffle_cls


def plan(card, effect, control):
    arms = {"clean": Arm(), "early": Arm(intervention=shuffle_cls(0))}
    arms["late"] = Arm(intervention=shuffle_cls(card.depth - 1))
    return Plan(arms=arms, effect=ratio(effect, "clean"), control=ratio(control, "clean"))


@claim("early")
def test_early(card):
    return plan(card, "early", "late")


@claim("late")
def test_late(card):
    return plan(card, "late", "early")


def test_plain():
    assert True
"""
BOTH = {"early": "supported", "late": "refuted"}
TAKEN = "def pytest_addoption(parser):\n" + "".join(
    f"    parser.addoption('--{name}', default=None)\n" for name in ("model", "data", "device", "claim", "delta")
)

ASKED_FOR = 'pytest_plugins = ["harness.short_names"]\n'


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way to run the claims: what is installed, how pytest is called, and what must come of it."""

    name: str
    packages: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    conftest: str = ""
    verdicts: dict[str, str] = field(default_factory=lambda: BOTH)
    told: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    code: int = 1
    before: tuple[str, ...] | None = None  # a run with these arguments goes first
    repository: bool = False  # run the repository's claims from its root, by the short names


def plugin(name: str, *arguments: str, **more) -> Case:
    return Case(name=name, packages=(name,), arguments=arguments, **more)


CASES = (
    Case(name="alone"),
    plugin("pytest-playwright"),
    Case(
        name="pytest-playwright, from the repository",
        packages=("pytest-playwright",),
        arguments=("--model", "tiny_vit", "--claim", "cls-early-shuffle-harmless", "--max-images", "64"),
        verdicts={"cls-early-shuffle-harmless": "*"},
        told=("claims: --device belongs to another plugin here; for claims say --claims-device",),
        repository=True,
    ),
    Case(name="options of a project", conftest=TAKEN, arguments=("--model", "theirs", "--device", "theirs")),
    Case(
        name="short names asked for",
        conftest='pytest_plugins = ["harness.short_names"]\n',
        arguments=("--delta", "0.05"),
    ),
    plugin("pytest-rerunfailures", "--reruns", "2", told=("2 rerun",)),
    plugin("pytest-repeat", "--count", "2", told=("2 failed, 4 passed",)),
    plugin("pytest-xdist", "-n", "2"),
    plugin("pytest-randomly"),
    plugin("pytest-split", "--splits", "3", "--group", "3", verdicts={"late": "refuted"}),
    plugin("pytest-timeout", "--timeout", "250"),
    plugin("pytest-html", "--html", "tests.html", "--self-contained-html", files=("tests.html",)),
    plugin("pytest-cov", "--cov", "my_claims", told=("coverage",)),
    plugin("pytest-benchmark", "--benchmark-json", "bench.json", files=("bench.json",)),
    plugin("pytest-asyncio"),
    plugin("pytest-mock"),
    plugin("pytest-sugar"),
    Case(name="-p no:terminal", arguments=("-p", "no:terminal")),
    Case(name="-p no:cacheprovider", arguments=("-p", "no:cacheprovider")),
    Case(name="--lf", before=(), arguments=("--lf",), verdicts={"late": "refuted"}),
    Case(
        name="--lf of a claim that passed",
        before=(),
        arguments=("--lf", "--claims-claim", "early"),
        verdicts={},
        code=5,
        told=("deselected",),
    ),
)


def project(folder: Path, case: Case) -> list[str]:
    """Write a user's project; give the arguments of pytest there."""
    demo = folder / "my_claims" / "demo"
    demo.mkdir(parents=True)
    (demo / "ledger.yaml").write_text(LEDGER, encoding="utf-8")
    (demo / "test_demo.py").write_text(CLAIMS, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    if case.conftest:
        (folder / "conftest.py").write_text(case.conftest, encoding="utf-8")
    return ["my_claims", "--claims-model", "tiny_vit"]


def environment(folder: Path, packages: Sequence[str]) -> Path:
    """Make an environment that sees the packages of this one, and install more into it; give its interpreter."""
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / "bin" / "python"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip())
    borrowed = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    line = "; ".join(["import site", *(f"site.addsitedir({path!r})" for path in borrowed)])
    (own / "borrowed.pth").write_text(f"{line}\n", encoding="utf-8")
    if packages:
        quiet = ["-q", "--disable-pip-version-check", "--no-input", "--no-warn-conflicts"]
        subprocess.run([python, "-m", "pip", "install", *quiet, "--upgrade", *packages, *pinned(python)], check=True)
    return python


def pinned(python: Path) -> list[str]:
    """Keep pytest as it is: a neighbour that asks for an older one does not get along."""
    return [f"pytest=={version(python, 'pytest')}"]


def version(python: Path, package: str) -> str:
    ask = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()


def wrong(case: Case, done: subprocess.CompletedProcess, folder: Path) -> list[str]:
    """List what is not as it must be after a run."""
    found, text = [], done.stdout + done.stderr
    if done.returncode != case.code:
        found.append(f"exit code {done.returncode} instead of {case.code}")
    records = folder / "records.json"
    kept = json.loads(records.read_text())["records"] if records.exists() else []
    made = sorted((record["claim"], "*" if "*" in case.verdicts.values() else record["verdict"]) for record in kept)
    if made != sorted(case.verdicts.items()):
        found.append(f"records {made} instead of {sorted(case.verdicts.items())}")
    missing = [
        name for name in (*case.files, *(["page.html"] if case.verdicts else [])) if not (folder / name).exists()
    ]
    found += [f"{name} was not written" for name in missing]
    found += [f"{line!r} was not told" for line in case.told if line not in text]
    found += [f"it told {line!r}" for line in ("INTERNALERROR", "Traceback") if line in text]
    return [*found, text[-3000:]] if found else []


def run(case: Case, folder: Path) -> tuple[str, list[str]]:
    """Run one case; give the versions and what went wrong."""
    python = environment(folder / "venv", case.packages)
    given = project(folder, case)
    if case.repository:
        given = [str(ROOT / "claims"), "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")]
    given += ["--claims-json", str(folder / "records.json"), "--claims-report", str(folder / "page.html")]
    given += ["--claims-cache", str(folder / ".claims"), "-p", "no:hypothesispytest"]
    start, how = [str(python), "-m", "pytest", *given], {"cwd": folder, "capture_output": True, "text": True}
    if case.before is not None:
        subprocess.run([*start, *case.before], check=False, timeout=LIMIT, **how)
        (folder / "records.json").unlink(missing_ok=True)
    done = subprocess.run([*start, *case.arguments], check=False, timeout=LIMIT, **how)
    names = ("pytest", *case.packages)
    return ", ".join(f"{name} {version(python, name)}" for name in names), wrong(case, done, folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="cases to run (default: all)")
    parser.add_argument("--list", action="store_true", help="print the names of the cases as JSON")
    asked = parser.parse_args()
    if asked.list:
        print(json.dumps([case.name for case in CASES]))
        return 0
    if unknown := set(asked.names) - {case.name for case in CASES}:
        parser.error(f"unknown cases {sorted(unknown)}; --list names them")
    failed = 0
    print(f"| neighbour | versions (Python {sys.version.split()[0]}) | result |\n|---|---|---|", flush=True)
    for case in CASES:
        if asked.names and case.name not in asked.names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            versions, found = run(case, Path(folder))
        failed += bool(found)
        print(f"| {case.name} | {versions} | {'; '.join(found[:-1]) or 'fine'} |", flush=True)
        if found:
            print(found[-1], file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
