"""Which definitions of this project a call really runs, by watching it: a second answer beside the static walk."""

import ast
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.fingerprint import Reference

ROOT = Path(__file__).parent.parent.parent


def definitions_run(call: Callable[[], Any], folders: tuple[str, ...] = ("harness", "fixtures")) -> set[Reference]:
    """Run a call and list the definitions (at the top of modules) whose code ran."""
    codes = set()

    def watch(frame, event, argument):
        if event == "call":
            codes.add((frame.f_globals.get("__name__"), frame.f_code))

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(before)
    wanted = tuple(str(ROOT / folder) for folder in folders)
    found = set()
    for module, code in codes:
        if code.co_filename.startswith(wanted) and "<module>" not in code.co_qualname:
            found.add((module, _top_of(code)))
    return {Reference(module, name) for module, name in found if name}


def _top_of(code) -> str:
    """Name the definition at the top of its module that holds this code; "" where none does (generated code)."""
    for node in ast.parse(Path(code.co_filename).read_text()).body:
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        if first <= code.co_firstlineno <= (node.end_lineno or node.lineno):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                return node.name
            targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
            return next((t.id for t in targets if isinstance(t, ast.Name)), "")
    return ""
