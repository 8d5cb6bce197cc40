"""The rooms of the package are kept apart: who may import whom, what may appear where, how large a thing may be."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "harness"
FIXTURES = ROOT / "fixtures"  # installed as harness.fixtures: outside of the rooms
# The import order: a module imports only from names before its own, or from its own room.
ORDER = (
    *("errors", "files", "fingerprint"),
    *("judging", "models", "images", "probes", "trainings", "interventions", "readouts", "results", "measurement"),
    *("report", "running", "regression", "cli", "face"),
    *("pytest_options", "pytest_items", "pytest_summary", "pytest_run", "pytest_plugin", "short_names"),
)
FLAT = (
    *("errors", "files", "face"),
    *("pytest_options", "pytest_items", "pytest_summary", "pytest_run", "pytest_plugin", "short_names"),
)  # single files; every other name is a folder
OUTSIDE = ("fixtures",)
# Modules that know one another, each pair to be taken apart; no other may.
KNOWN_CIRCLES: tuple[frozenset[str], ...] = ()
MAY_IMPORT = {
    "torch": (
        "models",
        "images",
        "probes",
        "trainings",
        "interventions",
        "readouts",
        "measurement",
        "running",
        "regression",
        "cli",
    ),
    "timm": ("models", "images"),
    "transformers": ("models", "images"),
    "yaml": ("judging.ledger", "judging.strict_yaml", "models.zoo"),
    "pytest": ("pytest_options", "pytest_items", "pytest_summary", "pytest_run", "pytest_plugin", "short_names"),
    "pickle": (),
    "jinja2": ("report",),
    "pyarrow": ("report",),
}
# What runs before it is known whether a model is needed at all.
NO_TORCH = ("judging", "images.procedural_switches", "running.options", "pytest_plugin", "cli.__main__")
LINES_OF_A_MODULE, LINES_OF_A_FUNCTION = 250, 40
# Too long today, each to be split; none may grow.
LONG_MODULES: dict[str, int] = {}
LONG_FUNCTIONS: dict[str, int] = {}
MODULES = sorted(PACKAGE.rglob("*.py"))
every_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module(path: Path, package: Path) -> str:
    """Name a file within a package: "judging.ledger"; a package's own page by its folder, "" for the package itself."""
    return ".".join(path.relative_to(package).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


def imports(path: Path) -> set[str]:
    """List the full names of what a file imports anywhere, also within functions."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def graph(package: Path) -> dict[str, set[str]]:
    """Say which modules of a package every module imports, by names within the package.

    Whoever imports a module runs the pages of the folders that it lies in, so these count as imported too.
    """
    files = {module(path, package): path for path in sorted(package.rglob("*.py"))}
    edges = {name: set(_own(imports(path), package.name, files)) for name, path in files.items() if name}
    return {
        name: {face for other in others for face in _pages(other, files) if not f"{name}.".startswith(f"{face}.")}
        for name, others in edges.items()
    }


def _own(names: Iterable[str], package: str, files: Mapping[str, Path]) -> Iterable[str]:
    for name in names:
        top, _, rest = name.partition(".")
        if top == package and rest:
            parent = rest.rpartition(".")[0]
            yield rest if rest in files or not parent else parent


def _pages(name: str, files: Mapping[str, Path]) -> list[str]:
    """List a module and the folders above it."""
    parts = name.split(".")
    above = [".".join(parts[:length]) for length in range(1, len(parts))]
    return [name, *(face for face in above if face in files)]


def room(name: str) -> str:
    """Name the flat file or the folder directly below the package that a module belongs to."""
    return name.partition(".")[0]


def misplaced(modules: Iterable[str], folders: Iterable[str]) -> list[str]:
    """Name flat modules that are not listed, folders that are no room, and listed names that are not there."""
    found, folders = {room(name) for name in modules}, set(folders)
    wrong = [f"{name}.py lies flat" for name in found - folders if name not in FLAT]
    wrong += [f"{name}/ is no room" for name in found & folders if name not in ORDER or name in FLAT]
    return sorted([*wrong, *(f"{name} is not there" for name in set(ORDER) - found)])


def arrows_up(edges: Mapping[str, set[str]]) -> list[str]:
    """Name every import of a module from a room that comes after its own."""
    place = {name: number for number, name in enumerate(ORDER)}
    return sorted(
        f"{name} imports {other}"
        for name, others in edges.items()
        for other in others
        if room(other) not in OUTSIDE and place.get(room(other), len(ORDER)) > place.get(room(name), -1)
    )


def circles(edges: Mapping[str, set[str]]) -> list[frozenset[str]]:
    """List the sets of modules that reach one another."""
    reached = {name: _reached(name, edges) for name in edges}
    return sorted(
        {
            frozenset({name, *(other for other in reached[name] if name in reached.get(other, ()))})
            for name in edges
            if name in reached[name]
        },
        key=sorted,
    )


def _reached(start: str, edges: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    queue = list(edges.get(start, ()))
    while queue:
        if (name := queue.pop()) not in seen:
            seen.add(name)
            queue += edges.get(name, ())
    return seen


def forbidden(name: str, imported: Iterable[str]) -> list[str]:
    """Name the libraries that a module imports and must not: allowed are those of its room or of the module itself."""
    return sorted(
        f"{name} imports {other}"
        for other in imported
        if (allowed := MAY_IMPORT.get(other.partition(".")[0])) is not None and not {name, room(name)} & set(allowed)
    )


def plant(folder: Path, files: Mapping[str, str]) -> Path:
    """Write a package `harness` of these files, with an empty page in every folder."""
    package = folder / "harness"
    for name, text in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        for between in (path.parent, *path.parent.parents):
            if between.is_relative_to(package):
                (between / "__init__.py").touch()
    return package


def test_every_module_stands_in_a_room_or_is_listed():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert misplaced(filter(None, graph(PACKAGE)), folders) == []


def test_a_module_imports_only_from_rooms_before_its_own():
    assert arrows_up(graph(PACKAGE)) == []


def test_no_modules_import_one_another_in_a_circle():
    assert [circle for circle in circles(graph(PACKAGE)) if circle not in KNOWN_CIRCLES] == []


def test_a_planted_arrow_up_is_found(tmp_path):
    files = {
        "judging/verdict.py": "def f():\n    from harness.models.subject import Subject\n",
        "models/subject.py": "import harness.judging.verdict\nfrom harness import errors",
        "models/zoo.py": "from harness.fixtures import zoo",
        "errors.py": "from harness.pytest_items import item",
        "pytest_items.py": "",
        "attic/old.py": "",
        "running/session.py": "from harness.attic import old",
    }
    assert arrows_up(graph(plant(tmp_path, files))) == [
        "errors imports pytest_items",
        "judging.verdict imports models",
        "judging.verdict imports models.subject",
        "running.session imports attic",
        "running.session imports attic.old",
    ]


def test_a_planted_circle_is_found(tmp_path):
    files = {
        "images/open.py": "from harness.images.batch import Batch",
        "images/batch.py": "from harness.images import sampling",
        "images/sampling.py": "from harness.images.open import open_images",
        "images/beside.py": "from harness.images.open import open_images",
    }
    assert circles(graph(plant(tmp_path, files))) == [frozenset({"images.open", "images.batch", "images.sampling"})]


def test_a_planted_circle_through_the_page_of_a_folder_is_found(tmp_path):
    files = {
        "models/families/__init__.py": "from harness.models.chain import Chain",
        "models/families/family.py": "",
        "models/chain.py": "from harness.models.families.family import Family",
    }
    assert circles(graph(plant(tmp_path, files))) == [frozenset({"models.families", "models.chain"})]


def test_a_planted_flat_module_and_an_unknown_room_are_found(tmp_path):
    files = {"utils.py": "", "attic/old.py": "", **{f"{name}.py": "" for name in FLAT}}
    files |= {f"{name}/one.py": "" for name in ORDER if name not in FLAT and name != "running"}
    package = plant(tmp_path, files)
    folders = {path.name for path in package.iterdir() if path.is_dir()}
    assert misplaced(filter(None, graph(package)), folders) == [
        "attic/ is no room",
        "running is not there",
        "utils.py lies flat",
    ]


@every_module
def test_libraries_appear_only_where_they_belong(path):
    assert forbidden(module(path, PACKAGE), imports(path)) == []


def test_a_planted_library_is_found():
    assert forbidden("judging.verdict", {"torch.nn", "numpy", "yaml"}) == [
        "judging.verdict imports torch.nn",
        "judging.verdict imports yaml",
    ]
    assert forbidden("judging.ledger", {"yaml.safe_load"}) == []
    assert forbidden("readouts.keys", {"timm.models"}) == ["readouts.keys imports timm.models"]


@pytest.mark.parametrize("name", NO_TORCH)
def test_what_needs_no_model_imports_no_torch(name):
    """Nor what it imports, as a program that starts with it finds."""
    names = [other for other in graph(PACKAGE) if other == name or other.startswith(f"{name}.")]
    words = "; ".join(f"import harness.{other}" for other in names)
    check = "import sys; assert not {'torch', 'timm', 'jaxtyping'} & set(sys.modules), sorted(sys.modules)"
    subprocess.run([sys.executable, "-c", f"{words}; {check}"], check=True)


def test_the_plugin_imports_nothing_large_before_it_is_needed():
    check = "import sys; assert not {'torch', 'timm', 'scipy', 'rich', 'pydantic', 'yaml', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", f"import harness.pytest_plugin; {check}"], check=True)


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.py")), ids=lambda path: path.name)
def test_what_the_package_needs_of_the_fixtures_needs_nothing_of_its_rooms(path):
    """Only the planted models, which ask the harness, may import it."""
    assert [name for name in imports(path) if name.startswith("harness.") and room(name[8:]) not in OUTSIDE] == []


def test_every_folder_is_installed_and_fixtures_below_the_package_alone():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    pages = [*PACKAGE.rglob("__init__.py"), *FIXTURES.rglob("__init__.py")]
    folders = [path.parent.relative_to(ROOT).parts for path in pages]
    assert sorted(project["packages"]) == sorted(
        ".".join(parts if parts[0] == "harness" else ("harness", *parts)) for parts in folders
    )
    assert project["package-dir"] == {"harness.fixtures": "fixtures"}


@every_module
def test_modules_and_functions_stay_small(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONG_MODULES.get(path.name, LINES_OF_A_MODULE), f"{path.name} has {lines} lines"
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1
            assert length <= LONG_FUNCTIONS.get(node.name, LINES_OF_A_FUNCTION), (
                f"{path.name}: {node.name} has {length}"
            )


@every_module
def test_nothing_is_unpickled(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) != ("torch", "load"), f"{path.name}:{node.lineno}"


@every_module
def test_errors_are_caught_by_name_or_raised_again(path):
    source = path.read_text(encoding="utf-8").splitlines()
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        broad = node.type is None or (
            isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
        )
        last = node.body[-1]  # raised again, or as a sentence with the error as its cause
        raises = isinstance(last, ast.Raise) and (last.exc is None or last.cause is not None)
        marked = path.name == "session.py" and "noqa: BLE001 - not swallowed" in source[node.lineno - 1]
        assert not broad or raises or marked, f"{path.name}:{node.lineno}"


@every_module
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(tree(path))
