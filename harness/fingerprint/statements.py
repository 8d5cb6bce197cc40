"""The top of a module: which statement defines which name, and what is imported."""

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Iterable
from types import CodeType, FunctionType
from typing import Any

from harness.fingerprint.files import is_package

Root = type | FunctionType | Callable[..., Any]


class Module:
    """The source of one module: what is defined at its top, and what is imported there."""

    def __init__(self, name: str, source: str) -> None:
        self.name, self.source = name, source
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.stars: list[str] = []  # modules from which everything is imported
        self.imports: dict[str, tuple[str, str | None]] = {}
        self._inner: dict[str, ast.AST] = {}
        self._collect(ast.parse(source).body, None)

    def inner(self, name: str) -> ast.AST:
        """Give a method, or a class within a function, by its qualified name."""
        return self._inner[name]

    def keep(self, root: Root) -> str:
        """Read the source of something that is defined within a function; return the name under which it is kept."""
        if "<lambda>" in root.__qualname__:
            node = self._lambda(root.__code__)  # type: ignore[union-attr]
        else:
            node = ast.parse(textwrap.dedent(inspect.getsource(root))).body[0]
        name = f"{root.__qualname__} {short_hash(ast.dump(node))}"
        self._inner[name] = node
        return name

    def _lambda(self, code: CodeType) -> ast.AST:
        """Find a lambda by its place in the file: several may begin on one line."""
        places = {(line, column) for line, _, column, _ in code.co_positions() if line and column}
        for node in ast.walk(ast.parse(self.source)):
            if isinstance(node, ast.Lambda) and (node.body.lineno, node.body.col_offset) in places:
                return node
        raise OSError(f"no lambda begins at line {code.co_firstlineno}")

    def _collect(self, body: Iterable[ast.stmt], whole: ast.stmt | None) -> None:
        """Note what statements bind; within an `if` or `try` the whole statement defines it."""
        for node in body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                self.imports |= (found := imports_of(node, self.name))
                self.stars += [found["*"][0]] if "*" in found else []
            elif isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While):
                for part in ast.iter_child_nodes(node):
                    if isinstance(part, ast.stmt):
                        self._collect([part], whole or node)
                    elif isinstance(part, ast.ExceptHandler):
                        self._collect(part.body, whole or node)
            else:
                for name in bound_names(node):
                    self.definitions.setdefault(name, []).append(whole or node)
            if isinstance(node, ast.ClassDef):
                for part in node.body:
                    if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                        self._inner[f"{node.name}.{part.name}"] = part


def imports_of(node: ast.Import | ast.ImportFrom, module: str) -> dict[str, tuple[str, str | None]]:
    """Read what an import statement binds: name -> (module, name there or None for the module itself)."""
    if isinstance(node, ast.Import):
        return {
            (alias.asname or alias.name.partition(".")[0]): (
                alias.name if alias.asname else alias.name.partition(".")[0],
                None,
            )
            for alias in node.names
        }
    origin = node.module or ""
    if node.level:
        own = [module, "__init__"] if is_package(module) else [module]
        parent = ".".join(own).split(".")[: -node.level]
        origin = ".".join([*parent, *filter(None, [node.module])])
    return {alias.asname or alias.name: (origin, alias.name) for alias in node.names}


def bound_names(node: ast.stmt) -> list[str]:
    """List the names that a statement at the top of a module binds or changes."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):  # a call that changes something
        return [part.id for part in ast.walk(node) if isinstance(part, ast.Name)][:1]
    targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
    return [part.id for target in targets if target for part in ast.walk(target) if isinstance(part, ast.Name)]


def short_hash(text: str) -> str:
    """Hash a text to a few hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


LENGTH = 16  # hexadecimal digits: enough to tell a change
