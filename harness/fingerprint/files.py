"""Source files of modules: where they are, when they changed, and whether their definitions count."""

import importlib.util
import os
import sys
import sysconfig
from functools import cache
from pathlib import Path

ROOM = __name__.rpartition(".")[0]  # this one, which tells code apart and changes no number
PACKAGE = ROOM.partition(".")[0]
INSTALLED = ("site-packages", "dist-packages")  # also where these are links to those of another environment


@cache
def is_followed(module: str) -> bool:
    """Tell code of this package and of users from the standard library and installed packages."""
    if module == ROOM or module.startswith(f"{ROOM}."):
        return False
    if module.partition(".")[0] == PACKAGE:
        return True
    if module.partition(".")[0] in sys.stdlib_module_names and module != "__main__":
        return False
    path = path_of(module)
    if path is None or any(part in INSTALLED for part in path.parts):
        return False
    return not any(path.is_relative_to(folder) for folder in _library_folders())


@cache
def _library_folders() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple({Path(sysconfig.get_paths()[name]).resolve() for name in names})


def path_of(module: str) -> Path | None:
    """Find the file of a module, without importing what is not imported yet."""
    loaded = sys.modules.get(module)
    origin = getattr(loaded, "__file__", None)
    if loaded is None:
        try:
            found = importlib.util.find_spec(module)
        except (ImportError, ValueError, AttributeError):
            return None
        origin = None if found is None else found.origin
    return Path(origin).resolve() if origin and Path(origin).suffix == ".py" else None


def state_of(module: str) -> tuple[str, int, int] | None:
    """Say of which file a module is, when that changed, and its size: two changes may share one tick."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None or not os.path.exists(file):
        return None
    found = os.stat(file)
    return file, found.st_mtime_ns, found.st_size


def is_package(module: str) -> bool:
    """Tell whether a module is the page of a folder."""
    path = path_of(module)
    return path is not None and path.name == "__init__.py"


def source_of(module: str) -> str:
    """Read the source of a module; raises OSError where it has no file."""
    path = path_of(module)
    if path is None:
        raise OSError(f"no source file of module {module!r}")
    return path.read_text(encoding="utf-8")
