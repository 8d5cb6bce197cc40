"""Executable claims about vision models: a pytest plugin that measures and judges published findings.

What a claim file needs is imported from here, and `harness.run` measures claims without pytest:

    from harness import Arm, Plan, claim, isolate_cls, level, ratio

Names are loaded at first use, so that an unrelated pytest run pays for none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.face import *  # noqa: F403


def __getattr__(name: str) -> Any:
    """Look a name up in `harness.face`."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    face = import_module("harness.face")
    if name not in vars(face):
        from harness.errors import unknown

        raise AttributeError(str(unknown("name", name, __dir__(), "harness")))
    return getattr(face, name)


def __dir__() -> list[str]:
    return sorted(name for name in vars(import_module("harness.face")) if not name.startswith("_"))
