"""Executable claims about vision models: a pytest plugin that measures and judges published findings.

What a claim file needs is imported from here, and `harness.run` measures claims without pytest:

    from harness import Arm, Plan, claim, isolate_cls, level, ratio

Names are loaded at first use, so that an unrelated pytest run pays for none of them.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.face import *  # noqa: F403


def __getattr__(name: str) -> Any:
    """Look a name up in `harness.face`; modules of the package are none of its names."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if find_spec(f"{__name__}.{name}") is not None:
        return import_module(f"{__name__}.{name}")
    face = import_module("harness.face")
    if name not in vars(face):
        from harness.errors import unknown

        told = str(unknown("name", name, __dir__(), "harness"))
        # Python replaces the text of an AttributeError in `from harness import NAME`, but not that of an ImportError.
        if sys._getframe(1).f_code.co_name == "_handle_fromlist":
            raise ImportError(told, name=__name__)
        raise AttributeError(told)
    return getattr(face, name)


def __dir__() -> list[str]:
    return sorted(name for name in vars(import_module("harness.face")) if not name.startswith("_"))
