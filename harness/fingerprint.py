"""Fingerprints of code, by the definitions that it reaches: changed code never meets old measurements.

A definition is a function, class or constant at the top of a module. Its fingerprint covers its own text and that of
everything that it names, through imports, in the order in which it names them. Left out is what changes no number:
docstrings, comments, annotations, what an error says, how a thing is imported, and the names and places of the
definitions themselves. So a number keeps its fingerprint when code is moved or renamed, or when a module beside it
changes, and loses it when one constant changes that any function on its way reads.

Nothing is imported: names are followed in the source. What a value decides while it runs (whose `step` a subject has)
cannot be seen there, so the classes of such values are roots of their own (`kinds_in`). Installed libraries are named
and not followed; their versions stand beside the fingerprint.
"""

import ast
import hashlib
import importlib.util
import inspect
import os
import sys
import sysconfig
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from harness.errors import ClaimsError

PACKAGE = __name__.partition(".")[0]
LENGTH = 16  # hexadecimal digits: enough to tell a change
# Where an annotation says more than a type: how a dataclass treats the field.
TELLING = ("ClassVar", "InitVar", "KW_ONLY")

Root = type | FunctionType | Callable[..., Any]


@dataclass(frozen=True)
class Reference:
    """A definition by its place: the name of a module, and the name that is bound at the top of it."""

    module: str
    name: str


@dataclass(frozen=True)
class Definition:
    """The text of a definition in pieces, with references where it names other definitions."""

    pieces: tuple["str | Reference", ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        """List what it names, in order."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Reference))


def fingerprint(*roots: "Root | Reference") -> str:
    """Identify the code that these definitions reach; the order of the roots does not matter.

    Raises ClaimsError for code whose source cannot be read.
    """
    if any(_outside(root) for root in roots):
        CODE.refresh()
    return short_hash("/".join(sorted({CODE.fingerprint(root) for root in roots})))


def fingerprint_outside(root: Root) -> str:
    """Identify the code of somebody who uses this package: what of the package it names counts by its own text."""
    CODE.refresh()
    return CODE.fingerprint(root, _outside)


def roots_in(*values: object) -> "list[Root | Reference]":
    """List the code that values bring with them: their classes, and those of the values within them.

    Fields of dataclasses and items of tuples, lists and mappings are followed, and the parts of torch modules. A record
    of functions (a model family) counts by the constant that holds it, else by its functions. What installed libraries
    define is left out.
    """
    found: dict[Root | Reference, None] = {}
    for value in _within(values):
        if isinstance(value, FunctionType):
            if CODE.follows(value.__module__):
                found[value] = None
        elif not isinstance(value, type | ModuleType) and CODE.follows(type(value).__module__):
            found[type(value)] = None
            if _holds_functions(value) and (constant := constant_of(value)) is not None:
                found[constant] = None
    return list(found)


def constant_of(value: object) -> "Reference | None":
    """Find the constant at the top of a loaded module that holds this very value; None where there is none."""
    for name, module in list(sys.modules.items()):
        for attribute, held in list(vars(module).items()) if module is not None else ():
            if held is value and CODE.follows(name) and isinstance(found := CODE.resolve(name, attribute), Reference):
                return found
    return None


def _outside(root: "Root | Reference") -> bool:
    module = root.module if isinstance(root, Reference) else root.__module__
    return module.partition(".")[0] != PACKAGE


def short_hash(text: str) -> str:
    """Hash a text to a few hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def _holds_functions(value: object) -> bool:
    if not is_dataclass(value):
        return False
    return any(isinstance(getattr(value, part.name), FunctionType) for part in fields(value))


def _within(values: Iterable[object]) -> Iterator[object]:
    for value in values:
        yield value
        if isinstance(value, type):
            continue
        if hasattr(value, "modules") and callable(value.modules):  # a torch module: user code may sit anywhere in it
            yield from value.modules()
        elif is_dataclass(value):
            inner = [getattr(value, part.name) for part in fields(value)]
            if _holds_functions(value) and constant_of(value) is not None:
                inner = [part for part in inner if not isinstance(part, FunctionType)]
            yield from _within(inner)
        elif isinstance(value, tuple | list | frozenset | set):
            yield from _within(value)
        elif isinstance(value, Mapping):
            yield from _within(value.values())


class Code:
    """Source code as definitions; `read` gives the source of a module by name (by default from its file)."""

    def __init__(self, read: "Callable[[str], str] | None" = None) -> None:
        self._read = read or _source
        self._modules: dict[str, _Module | None] = {}
        self._definitions: dict[Reference, Definition] = {}
        self._found: dict[tuple[Reference, Callable[[Reference], bool]], str] = {}
        self._stamps: dict[str, tuple[str, int, int] | None] = {}  # of modules outside of the package

    def fingerprint(self, root: "Root | Reference", within: "Callable[[Reference], bool]" = lambda one: True) -> str:
        """Identify what one definition reaches, itself included.

        Definitions that are not `within` count by their own text alone, whatever they name.
        """
        reference = root if isinstance(root, Reference) else self.reference(root)
        if (reference, within) not in self._found:
            numbers = {one: number for number, one in enumerate(self.reached(reference, within))}
            texts = [
                "".join(piece if isinstance(piece, str) else self._told(piece, numbers) for piece in self._pieces(one))
                for one in numbers
            ]
            self._found[reference, within] = short_hash("\n".join(texts))
        return self._found[reference, within]

    def reached(
        self, root: "Root | Reference", within: "Callable[[Reference], bool]" = lambda one: True
    ) -> list[Reference]:
        """List what a definition reaches, itself first, in the order in which a walk from it comes upon them."""
        start = root if isinstance(root, Reference) else self.reference(root)
        seen: dict[Reference, None] = {start: None}
        queue = [start]
        while queue:
            for reference in self.definition(queue.pop(0)).references:
                if reference not in seen and within(reference):
                    seen[reference] = None
                    queue.append(reference)
        return list(seen)

    def replacing(self, module: str, source: str) -> "Code":
        """Return the same code with another source of one module."""
        other = Code(lambda name: source if name == module else self._read(name))
        other._modules = {name: found for name, found in self._modules.items() if name != module}
        other._definitions = {one: found for one, found in self._definitions.items() if one.module != module}
        return other

    def refresh(self) -> None:
        """Forget what was read of files that have changed since; those of the package itself are read once."""
        if any(stamp != _state(name) for name, stamp in self._stamps.items()):
            self.__init__(self._read)  # type: ignore[misc]

    def _pieces(self, reference: Reference) -> tuple["str | Reference", ...]:
        return self.definition(reference).pieces

    def _told(self, reference: Reference, numbers: Mapping[Reference, int]) -> str:
        """Tell of a reference by its number in the walk, or by its own text where the walk leaves it out."""
        if reference in numbers:
            return f"@{numbers[reference]}"
        own = "".join(piece if isinstance(piece, str) else "@" for piece in self._pieces(reference))
        return f"@{short_hash(own)}"

    def definition(self, reference: Reference) -> Definition:
        """Give a definition by its place."""
        if reference not in self._definitions:
            module = self._module(reference.module)
            assert module is not None, f"{reference} was found by following it"
            outer, _, inner = reference.name.partition(".")
            whole: Sequence[ast.AST] = [] if inner else module.definitions.get(outer, [])
            nodes = whole or [module.inner(reference.name)]
            self._definitions[reference] = Definition(_Writer(self, module, outer).write(nodes))
        return self._definitions[reference]

    def reference(self, root: Root) -> Reference:
        """Find the definition of a class or function; ClaimsError where its source cannot be read."""
        module, name = root.__module__, root.__qualname__
        try:
            found = self._module(module, always=True)
        except (OSError, TypeError, ImportError, SyntaxError) as error:
            raise ClaimsError(f"the source of {module}.{name} cannot be read ({error}); put it into a file") from error
        assert found is not None, "a module that is always read is there"
        if name.partition(".")[0] not in found.definitions or "<" in name:
            name = found.keep(root)
        return Reference(module, name)

    def follows(self, module: str) -> bool:
        """Tell whether the definitions of a module count, and are not those of an installed library."""
        return self._module(module) is not None

    def resolve(self, module: str, name: str) -> "Reference | str | None":
        """Find what a name at the top of a module means: a definition, a module (by its name), or nothing of ours."""
        here = self._module(module)
        if here is None:
            return None
        if name in here.definitions:
            return Reference(module, name)
        inner = f"{module}.{name}"
        if name in here.imports and here.imports[name] != (module, name):  # a package may name its own module
            return self.imported(*here.imports[name])
        for star in here.stars:
            if (found := self.resolve(star, name)) is not None:
                return found
        return inner if self._module(inner) is not None else None

    def imported(self, module: str, name: str | None) -> "Reference | str | None":
        """Find what an import binds, through as many modules as pass it on."""
        return module if name is None else self.resolve(module, name)

    def _module(self, name: str, always: bool = False) -> "_Module | None":
        if self._modules.get(name) is None and (name not in self._modules or always):
            followed = always or _is_followed(name)
            if followed and name.partition(".")[0] != PACKAGE:
                self._stamps[name] = _state(name)
            try:
                self._modules[name] = _Module(name, self._read(name)) if followed else None
            except (OSError, ImportError, TypeError, ValueError):
                if always:
                    raise
                self._modules[name] = None
        return self._modules[name]


class _Module:
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
                for name in _bound(node):
                    self.definitions.setdefault(name, []).append(whole or node)
            if isinstance(node, ast.ClassDef):
                for part in node.body:
                    if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                        self._inner[f"{node.name}.{part.name}"] = part


class _Writer:
    """Writes statements as pieces of text: names of definitions become references, the rest is plain."""

    def __init__(self, code: Code, module: _Module, own: str) -> None:
        self.code, self.module, self.own = code, module, own
        self.pieces: list[str | Reference] = []
        # What inner scopes bind, innermost last: None for a variable, else where an import within a function leads.
        self.scopes: list[Mapping[str, tuple[str, str | None] | None]] = []

    def write(self, nodes: Iterable[ast.AST]) -> tuple[str | Reference, ...]:
        """Write statements that bind one name at the top of a module, without that name."""
        for node in nodes:
            self._node(node, top=True)
        return tuple(self.pieces)

    def _node(self, node: ast.AST, top: bool = False) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            self._function(node, top)
        elif isinstance(node, ast.ClassDef):
            self._class(node, top)
        elif isinstance(node, ast.AnnAssign):
            self._annotated(node)
        elif isinstance(node, ast.Raise | ast.Import | ast.ImportFrom | ast.Pass):
            self.pieces.append("raise;" if isinstance(node, ast.Raise) else "")
        elif isinstance(node, ast.Assert):
            self._parts("assert", [node.test])
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            pass  # a text that stands alone, or an ellipsis
        elif isinstance(node, ast.Name):
            self._name(node.id)
        elif isinstance(node, ast.Attribute):
            self._attribute(node)
        elif isinstance(node, ast.Call) and (told := self._told(node)) is not None:
            self.pieces.append(told)
        elif isinstance(node, ast.Constant):
            self.pieces.append(f"{node.value!r},")
        else:
            self._generic(node)

    def _parts(self, word: str, parts: Iterable[ast.AST | None]) -> None:
        self.pieces.append(f"{word}(")
        for part in parts:
            if part is not None:
                self._node(part)
        self.pieces.append(")")

    def _generic(self, node: ast.AST) -> None:
        self.pieces.append(f"{type(node).__name__}(")
        for name, value in ast.iter_fields(node):
            if name in ("ctx", "type_comment", "type_params", "kind") or value in (None, []):
                continue
            self.pieces.append(f"{name}=")
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, ast.AST):
                    self._node(item)
                else:
                    self.pieces.append(f"{item!r},")
        self.pieces.append(")")

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, top: bool) -> None:
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        every += [one for one in (arguments.vararg, arguments.kwarg) if one]
        if not isinstance(node, ast.Lambda):
            self.pieces.append(f"{type(node).__name__} {'' if top else node.name}")
            self._parts("decorators", node.decorator_list)
        shape = [len(arguments.posonlyargs), len(arguments.args), bool(arguments.vararg), bool(arguments.kwarg)]
        self.pieces.append(f"{[one.arg for one in every]}{shape}")
        self._parts("defaults", [*arguments.defaults, *arguments.kw_defaults])
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        local: dict[str, tuple[str, str | None] | None] = {one.arg: None for one in every}
        local |= _local(body, self.module.name)
        self.scopes.append(local)
        self._parts("body", body)
        self.scopes.pop()

    def _class(self, node: ast.ClassDef, top: bool) -> None:
        self.pieces.append(f"class {'' if top else node.name}")
        self._parts("decorators", node.decorator_list)
        self._parts("bases", [*node.bases, *node.keywords])
        self._parts("body", node.body)

    def _annotated(self, node: ast.AnnAssign) -> None:
        said = ast.unparse(node.annotation)
        self.pieces.append(next((word for word in TELLING if word in said), ""))
        if node.value is not None or not self.scopes:  # in a function an annotation without a value does nothing
            self._parts("Assign", [node.target, node.value])

    def _name(self, name: str) -> None:
        found = self._meaning(name)
        if isinstance(found, Reference):
            own = (found.module, found.name) == (self.module.name, self.own)
            self.pieces.append("@self," if own and not self.scopes else found)
        else:
            self.pieces.append(f"{found or name},")

    def _told(self, node: ast.Call) -> Reference | None:
        """Read a `Reference` that the code itself makes: it stands for what it names."""
        if not isinstance(node.func, ast.Name) or self._meaning(node.func.id) != f"{__name__}.Reference":
            return None
        module, name = (ast.literal_eval(argument) for argument in node.args)
        return Reference(module, name)

    def _attribute(self, node: ast.Attribute) -> None:
        """Follow a name through modules: `recipes.RECIPES` is the constant of that module."""
        chain, inner = [node.attr], node.value
        while isinstance(inner, ast.Attribute):
            chain.append(inner.attr)
            inner = inner.value
        found = self._meaning(inner.id) if isinstance(inner, ast.Name) else None
        if not isinstance(found, str):
            self._parts(f".{node.attr}", [node.value])
            return
        while chain and isinstance(found, str) and (following := self.code.resolve(found, chain[-1])) is not None:
            found = following
            chain.pop()
        self.pieces.append(found if isinstance(found, Reference) else f"{found},")
        self.pieces += [f".{part}" for part in reversed(chain)]

    def _meaning(self, name: str) -> "Reference | str | None":
        """Find what a name means here: a definition, a module or a thing of a library by its name, or a variable."""
        for scope in reversed(self.scopes):
            if name in scope:
                bound = scope[name]
                return None if bound is None else self._imported(bound)
        if name in self.module.definitions:
            return Reference(self.module.name, name)
        if name in self.module.imports:
            return self._imported(self.module.imports[name])
        stars = (self.code.resolve(star, name) for star in self.module.stars)
        return next((found for found in stars if found is not None), None)

    def _imported(self, bound: tuple[str, str | None]) -> "Reference | str":
        module, name = bound
        found = self.code.imported(module, name)
        return found if found is not None else f"{module}.{name}" if name else module


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
        own = [module, "__init__"] if _is_package(module) else [module]
        parent = ".".join(own).split(".")[: -node.level]
        origin = ".".join([*parent, *filter(None, [node.module])])
    return {alias.asname or alias.name: (origin, alias.name) for alias in node.names}


def _bound(node: ast.stmt) -> list[str]:
    """List the names that a statement at the top of a module binds or changes."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):  # a call that changes something
        return [part.id for part in ast.walk(node) if isinstance(part, ast.Name)][:1]
    targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
    return [part.id for target in targets if target for part in ast.walk(target) if isinstance(part, ast.Name)]


def _local(body: Iterable[ast.AST], module: str) -> dict[str, tuple[str, str | None] | None]:
    """List what the body of a function binds: variables, and imports with where they lead."""
    found: dict[str, tuple[str, str | None] | None] = {}
    declared: set[str] = set()
    queue = list(body)
    while queue:
        node = queue.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= imports_of(node, module)
        elif isinstance(node, ast.Global):
            declared |= set(node.names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.setdefault(node.name, None)
            queue += node.decorator_list
        elif isinstance(node, ast.Lambda):
            continue
        else:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.setdefault(node.id, None)
            elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
                found.setdefault(node.name, None)
            queue += ast.iter_child_nodes(node)
    return {name: bound for name, bound in found.items() if name not in declared}


@cache
def _is_followed(module: str) -> bool:
    """Tell code of this package and of users from the standard library and installed packages."""
    if module == __name__:  # telling code apart changes no number
        return False
    if module.partition(".")[0] == PACKAGE:
        return True
    if module.partition(".")[0] in sys.stdlib_module_names and module != "__main__":
        return False
    path = _path(module)
    return path is not None and not any(path.is_relative_to(folder) for folder in _library_folders())


@cache
def _library_folders() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple({Path(sysconfig.get_paths()[name]).resolve() for name in names})


def _path(module: str) -> Path | None:
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


def _state(module: str) -> tuple[str, int, int] | None:
    """Say of which file a module is, when that changed, and its size: two changes may share one tick."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None or not os.path.exists(file):
        return None
    found = os.stat(file)
    return file, found.st_mtime_ns, found.st_size


def _is_package(module: str) -> bool:
    path = _path(module)
    return path is not None and path.name == "__init__.py"


def _source(module: str) -> str:
    path = _path(module)
    if path is None:
        raise OSError(f"no source file of module {module!r}")
    return path.read_text(encoding="utf-8")


CODE = Code()
