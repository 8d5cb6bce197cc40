"""Small mistakes in what a claim says to measure, one at a time: numbers off by one, arms exchanged, arguments dropped.

A mistake is a change of one node of a claim file's syntax tree. Words for the reader (labels of findings, reasons why a
claim is refused or only reported, docstrings) are left alone: no verdict rests on them.
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import CodeType

from harness.judging.discovery import MARK

AROUND = 24  # characters shown on either side of a mistake
LABELS = {"Holds": 2, "Rises": 2, "Shape": 3}  # from which positional argument on there are words alone
INTEGERS = {
    *("b", "k", "r", "x", "c", "o", "p", "block", "layer", "last", "first", "second", "before", "before_last", "at"),
    *("after", "middle", "depth", "half", "most", "count", "few", "many", "keep", "place", "distance", "start"),
}
UNORDERED = ("every", "some", "most", "min", "max")  # functions whose arguments may come in any order
COUNTS = {"depth", "patches", "width", "classes"}
COMPARISONS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
SIGNS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr,
}
WORDS = {
    "untrained": "given",
    "given": "untrained",
    "class": "native",
    "native": "class",
    "least": "most",
    "most": "least",
    "object": "context",
    "context": "object",
    "box": "mask",
    "mask": "box",
    "donor": "own",
    "own": "donor",
    "permuted": "own",
    "attention": "mlp",
    "mlp": "attention",
    "vit": "cnn",
    "cnn": "vit",
    "shift": "turn",
    "turn": "shift",
    "replace": "augment",
    "none": "random",
    "lda": "ridge",
    "query": "key",
}
SIBLINGS = {
    "every": "some",
    "some": "every",
    "most": "every",
    "difference": "ratio",
    "ratio": "difference",
    "min": "max",
    "max": "min",
    "shuffle_cls": "cls_alone",
    "cls_alone": "shuffle_cls",
    "isolate_cls": "self_only",
    "isolate_cls_with_noise": "isolate_cls",
    "self_only": "isolate_cls",
    "final_readout": "class_readout",
    "class_readout": "final_readout",
    "Accuracy": "CrossEntropy",
    "Identifiability": "PatchAccuracy",
    "PatchAccuracy": "AnyPatchRight",
    "AnyPatchRight": "PatchAccuracy",
    "PatchRise": "PatchAccuracy",
    "RegionIdentifiability": "RegionAccuracy",
    "RegionAccuracy": "RegionIdentifiability",
    "ClassRelevance": "CheferRelevance",
    "CheferRelevance": "ClassRelevance",
    "RandomOrder": "ClassRelevance",
    "FillObject": "FillBackground",
    "FillBackground": "FillObject",
    "LowPass": "HighPass",
    "HighPass": "LowPass",
    "PhaseNoise": "HighPass",
    "LearnedAccuracy": "LearnedUnanimity",
    "LearnedUnanimity": "LearnedAccuracy",
    "ProbeEntropy": "ProbeAccuracy",
    "Product": "Largest",
    "Largest": "Product",
    "Exceeds": "Same",
    "Same": "Exceeds",
    "Purity": "DistinctTop",
    "DistinctTop": "Purity",
    "ObjectArea": "BackgroundUnits",
    "BackgroundUnits": "ObjectArea",
    "PatchCosine": "PatchHead",
    "PatchHead": "PatchCosine",
    "MemoryMatch": "KeyValueAgreement",
    "KeyValueAgreement": "MemoryMatch",
    "GoldenVectors": "GoldenDistance",
    "UnitsOfEachBlock": "TheModel",
    "Batches": "TheModel",
    "TheModel": "Batches",
}


@dataclass(frozen=True)
class Change:
    """One node of a tree in the place of another: `holder.slot`, or its element `at`."""

    holder: ast.AST
    slot: str
    at: int | None
    new: object

    def swap(self) -> "Change":
        """Make the change and give the one that undoes it."""
        old = getattr(self.holder, self.slot)
        made = self.new if self.at is None else [*old[: self.at], self.new, *old[self.at + 1 :]]
        setattr(self.holder, self.slot, made)
        return Change(self.holder, self.slot, None, old)


@dataclass(frozen=True, kw_only=True)
class ClaimFile:
    """A claim file in pieces: its top-level statements, each compiled, beneath the names that it imports."""

    path: Path
    imported: Mapping[str, object]
    statements: tuple[ast.stmt, ...]
    codes: tuple[CodeType, ...]

    @classmethod
    def read(cls, path: Path) -> "ClaimFile":
        """Parse a file."""
        return cls.parse(path.read_text(encoding="utf-8"), path)

    @classmethod
    def parse(cls, text: str, path: Path) -> "ClaimFile":
        """Parse a text that stands, or could stand, in a file."""
        body = ast.parse(text).body
        imports = [node for node in body if isinstance(node, (ast.Import, ast.ImportFrom))]
        names: dict[str, object] = {"__file__": str(path), "__name__": f"mutant_of_{path.stem}"}
        exec(compile(ast.Module(imports, []), str(path), "exec"), names)
        rest = tuple(node for node in body if node not in imports)
        codes = tuple(compile(ast.Module([node], []), str(path), "exec") for node in rest)
        return cls(path=path, imported=names, statements=rest, codes=codes)

    @cached_property
    def claims(self) -> dict[str, str]:
        """Say which claim each marked function is: its id by the function's name."""
        return {function.__name__: name for name, function in self.functions(self.codes).items()}

    def functions(self, codes: tuple[CodeType, ...]) -> dict[str, Callable]:
        """Run the statements and give the claims by id."""
        names = dict(self.imported)
        for code in codes:
            exec(code, names)
        return {getattr(one, MARK): one for one in names.values() if callable(one) and hasattr(one, MARK)}


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A claim file with one mistake in one of its top-level statements (its number: `piece`)."""

    file: ClaimFile
    piece: int
    code: CodeType
    line: int
    statement: ast.stmt
    change: Change

    @property
    def function(self) -> str:
        """Name the function that holds the mistake."""
        return getattr(self.file.statements[self.piece], "name", "module")

    @property
    def name(self) -> str:
        """Say what was mistaken for what, in its statement."""
        whole = isinstance(self.change.new, ast.stmt)
        before = ast.unparse(self.statement)
        undo = self.change.swap()
        after = ast.unparse(self.change.new if whole else self.statement)  # type: ignore[arg-type]
        undo.swap()
        return f"{self.file.path.parent.name}/{self.file.path.name}, {self.function}: {_difference(before, after)}"

    def functions(self) -> dict[str, Callable]:
        """Give the claims of the file as they are with the mistake."""
        codes = self.file.codes
        return self.file.functions((*codes[: self.piece], self.code, *codes[self.piece + 1 :]))


def mutants(file: ClaimFile) -> Iterator[Mutant]:
    """Make every small mistake in a claim file, in the order of its nodes; those that change no program are none."""
    for piece, top in enumerate(file.statements):
        if isinstance(top, ast.Expr):
            continue
        seen = {_meaning(file.codes[piece])}
        for statement, node, change in _changes(top):
            undo = change.swap()
            try:
                module = ast.fix_missing_locations(ast.Module([top], []))
                code = compile(module, str(file.path), "exec")
            except (SyntaxError, ValueError, TypeError):
                continue  # no program at all
            finally:
                undo.swap()
            if (meaning := _meaning(code)) not in seen:
                seen.add(meaning)
                line = getattr(node, "lineno", 0)
                yield Mutant(file=file, piece=piece, code=code, line=line, statement=statement, change=change)


def _meaning(code: CodeType) -> tuple:
    """Give what a program does, without where it stands."""
    inner = tuple(_meaning(one) if isinstance(one, CodeType) else (type(one), one) for one in code.co_consts)
    return code.co_code, code.co_names, code.co_varnames, code.co_cellvars, code.co_freevars, inner


def _changes(top: ast.stmt) -> Iterator[tuple[ast.stmt, ast.AST, Change]]:
    """List (statement to show, node, change) for every node of a top-level statement that may be mistaken."""
    texts = _texts(top)
    for holder, slot, at, node, statement in list(_walk(top, top)):
        for new in _replacements(node, holder, texts):
            yield statement, node, Change(holder, slot, at, new)


def _walk(
    holder: ast.AST, statement: ast.stmt, words: bool = False
) -> Iterator[tuple[ast.AST, str, int | None, ast.AST, ast.stmt]]:
    """Walk the nodes below one, with their places; within words for the reader no further."""
    for slot, value in ast.iter_fields(holder):
        if isinstance(holder, ast.FunctionDef) and slot != "body":
            continue
        for at, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(node, ast.AST) or _for_the_reader(holder, slot, at, node, words):
                continue
            shown = node if isinstance(node, ast.stmt) and not isinstance(node, ast.FunctionDef) else statement
            yield holder, slot, at, node, shown
            yield from _walk(node, shown, words or (isinstance(node, ast.keyword) and node.arg == "report_only"))


def _for_the_reader(holder: ast.AST, slot: str, at: int | None, node: ast.AST, words: bool) -> bool:
    """Tell words for the reader."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True  # a docstring
    if isinstance(node, ast.keyword) and node.arg == "strict":
        return True  # a check of lengths
    if words and isinstance(node, (ast.JoinedStr, ast.Constant)):
        return True
    if not (isinstance(holder, ast.Call) and isinstance(holder.func, ast.Name) and slot == "args"):
        return False
    called = holder.func.id
    return called == "NotApplicable" or (at is not None and at >= LABELS.get(called, len(holder.args)))


def _replacements(node: ast.AST, holder: ast.AST, texts: list[str]) -> Iterator[ast.AST]:
    """List what a node may be mistaken for."""
    if isinstance(node, ast.Constant):
        yield from _constants(node, texts)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        if node.id in SIBLINGS:
            yield ast.Name(SIBLINGS[node.id], ast.Load())
        if node.id in INTEGERS and not isinstance(holder, ast.comprehension):
            yield from _off_by_one(node)
    elif isinstance(node, ast.Attribute) and node.attr in COUNTS:
        yield from _off_by_one(node)
    elif isinstance(node, ast.Call):
        yield from _calls(node)
    elif isinstance(node, (ast.Tuple, ast.List, ast.Set)) and len(node.elts) > 1:
        first, second, *rest = node.elts
        ordered = not isinstance(node, ast.Set) and not isinstance(holder, (ast.Compare, ast.comprehension, ast.For))
        if ordered and ast.dump(first) != ast.dump(second):
            yield _like(node, elts=[second, first, *rest])
        yield from (_like(node, elts=[*node.elts[:at], *node.elts[at + 1 :]]) for at in range(len(node.elts)))
    elif isinstance(node, ast.Dict):
        for at in range(len(node.keys)):
            keys, values = list(node.keys), list(node.values)
            del keys[at], values[at]
            yield ast.Dict(keys, values)
    else:
        yield from _operators(node)


def _constants(node: ast.Constant, texts: list[str]) -> Iterator[ast.AST]:
    if isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node.value, (int, float)):
        yield from (ast.Constant(node.value + step) for step in (-1, 1))
    elif isinstance(node.value, str):
        if node.value in WORDS:
            yield ast.Constant(WORDS[node.value])
        others = [one for one in texts if one != node.value and ("@" in one) == ("@" in node.value)]
        if node.value in texts and others:
            place = texts.index(node.value)
            beside = {others[step % len(others)] for step in (place, place - 1)} - {WORDS.get(node.value)}
            yield from (ast.Constant(one) for one in sorted(beside))


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    called = node.func.id if isinstance(node.func, ast.Name) else ""
    if called == "NotApplicable":
        return
    if called == "range":
        for at in range(len(node.args)):
            for shifted in _off_by_one(node.args[at]):
                yield _like(node, args=[*node.args[:at], shifted, *node.args[at + 1 :]])
    free = node.args[: LABELS.get(called, len(node.args))]
    if len(free) > 1 and called not in UNORDERED:
        yield _like(node, args=[free[1], free[0], *node.args[2:]])
    if called in ("every", "some", "most", "dict") and len(node.args) > 1:
        yield from (_like(node, args=[*node.args[:at], *node.args[at + 1 :]]) for at in range(len(node.args)))
    for at, keyword in enumerate(node.keywords):
        if keyword.arg != "strict":  # a check of lengths
            yield _like(node, keywords=[*node.keywords[:at], *node.keywords[at + 1 :]])


def _operators(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        for at, op in enumerate(node.ops):
            yield _like(node, ops=[*node.ops[:at], COMPARISONS[type(op)](), *node.ops[at + 1 :]])
    elif isinstance(node, ast.BinOp) and type(node.op) in SIGNS:
        yield _like(node, op=SIGNS[type(node.op)]())
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.BoolOp):
        yield _like(node, op=ast.And() if isinstance(node.op, ast.Or) else ast.Or())
        yield from (one for one in node.values)
    elif isinstance(node, ast.IfExp):
        yield _like(node, body=node.orelse, orelse=node.body)
    elif isinstance(node, ast.If):
        yield _like(node, test=ast.UnaryOp(ast.Not(), node.test))
        yield _like(node, test=ast.Constant(True))
        yield ast.Pass()
    elif isinstance(node, ast.comprehension) and node.ifs:
        yield _like(node, ifs=[])
    elif isinstance(node, ast.Slice):
        if node.lower is not None and node.upper is not None:
            yield _like(node, lower=None)
            yield _like(node, upper=None)
    elif isinstance(node, (ast.AugAssign, ast.Expr)):
        yield ast.Pass()


def _off_by_one(node: ast.AST) -> Iterator[ast.AST]:
    for op in (ast.Sub, ast.Add):
        yield ast.BinOp(node, op(), ast.Constant(1))  # type: ignore[arg-type]


def _like(node: ast.AST, **changes: object) -> ast.AST:
    made = type(node)(**{**dict(ast.iter_fields(node)), **changes})
    return ast.copy_location(made, node)


def _texts(top: ast.stmt) -> list[str]:
    """List the texts of a function that may be mistaken for one another, each once, in their order."""
    found = [node for _, _, _, node, _ in _walk(top, top) if isinstance(node, ast.Constant)]
    return list(dict.fromkeys(node.value for node in found if isinstance(node.value, str)))


def _difference(before: str, after: str) -> str:
    """Show two texts by what differs, with a little of what stands around it."""
    start = _alike(before, after)
    end = _alike(before[start:][::-1], after[start:][::-1])
    left = max(0, start - AROUND)

    def cut(text: str) -> str:
        return " ".join(text[left : len(text) - end + (AROUND if end > AROUND else end)].split())

    return f"`{cut(before)}` -> `{cut(after)}`"


def _alike(one: str, other: str) -> int:
    """Count the characters with which two texts begin alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
