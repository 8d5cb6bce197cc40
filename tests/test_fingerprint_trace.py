"""What really runs when a number is measured is behind its key: found by watching calls, not by the static walk.

For every readout, edit, mask, score and population that a claim uses, and for every family of models, one real
measurement is watched. Every definition that ran must be reached by the roots of its key, and a change of any constant
or line in it must change the key.
"""

import ast
import random
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
import torch

from harness.errors import NotApplicable
from harness.fingerprint import CODE, Reference, fingerprint, roots_in
from harness.fixtures.families import SMALL_MODELS
from harness.images.procedural import EmbeddedImages
from harness.judging.discovery import find_claims
from harness.measurement import loaded_model, measured_code
from harness.measurement.forward import measure_chunk
from harness.measurement.loaded_model import LoadedModel, roots_of_passes
from harness.measurement.plan import Arm, Plan, propose
from harness.measurement.prefix_tree import Bill, Request
from harness.measurement.settings import Settings
from harness.models.families import adapt
from harness.models.zoo import resolve
from harness.probes.statistic import Statistic
from harness.probes.training import code as fit_code
from harness.probes.training.fits import fit_all
from harness.probes.training.linear import Training
from harness.probes.training.statistics import fit_everything
from harness.readouts.autoencoders import AutoencoderNumber
from harness.results.measurements import Store
from support.traced import definitions_run

CLAIMS = Path(__file__).parents[1] / "claims"
MODELS = ("tiny_vit", "tiny_clip", "tiny_resnet", "tiny_vit_gap")  # together they are asked every kind of arm
IMAGES, TRAINED = 64, 60
# What a measurement runs and what changes no number: naming it, billing it, storing it, refusing it.
NO_NUMBER = (
    *("harness.fingerprint", "harness.errors", "harness.measurement.loaded_model", "harness.results.measurements"),
    *("harness.measurement.measured_code", "harness.probes.training.files", "harness.probes.training.code"),
    *("harness.models.zoo", "harness.models.self_check", "harness.measurement.picture_batches"),
    "harness.models.finite",
)
BILLS = ("Bill", "Arm")

# Claims about ledgers plan other claims: what those read is not read here.
NO_PICTURES = ("BudgetShare", "CheckedShare", "LeastShare", "ClaimsFolder")


@dataclass(frozen=True)
class Case:
    """One arm on one model, with its population where it reads members."""

    model: str
    arm: Arm
    plan: Plan


def quick(value):
    """Shorten recipes of trainings and optimizations: what code they run stays the same."""
    if isinstance(value, AutoencoderNumber):
        return replace(value, steps=2)
    recipe = getattr(value, "recipe", None)
    if recipe is None:
        return value
    small = {"steps": 2} if hasattr(recipe, "steps") else {"images": TRAINED, "epochs": 1}
    return replace(value, recipe=replace(recipe, **small))


@cache
def model(name: str) -> LoadedModel:
    images, train = (EmbeddedImages(split=split, seed=0, limit=n) for split, n in (("test", IMAGES), ("train", 200)))
    return LoadedModel(resolve(name).load(), images, Store(None), Settings(batch_size=IMAGES), train)


@cache
def cases() -> dict[str, Case]:
    """Find one arm for every kind of readout, edit, mask and score that the claims use."""
    found: dict[str, Case] = {}
    for claim in find_claims(CLAIMS).values():
        for name in MODELS if not claim.spec.subjects else ():
            card = model(name).subject.card
            if card.missing(claim.spec.needs):
                continue
            try:
                plan = propose(claim.function, claim.spec, card)
            except NotApplicable:
                continue
            for arm in plan.arms.values():
                kinds = [one.__name__ for one in roots_in(arm.readout, arm.intervention) if isinstance(one, type)]
                for kind in kinds:
                    if kind not in (*NO_PICTURES, "Intervention", "Probe") and kind not in found:
                        found[kind] = Case(name, arm, plan)
    return found


def roots(case: Case) -> list:
    here, arm = model(case.model), case.arm
    passes = roots_of_passes(here.weights(arm.weights), here.images)
    if case.plan.census is not None:
        return [*passes, *measured_code.roots_of_members(arm.readout, case.plan.census)]
    fits = [root for fit in arm.fits for root in (fit_code.FITS, fit_code.TRAINING, *roots_in(fit))]
    return [*passes, *roots_in(arm.intervention), *roots_in(arm.readout), *fits]


def measure(case: Case) -> None:
    """Measure the arm once, as a run does, with what must be fitted for it."""
    here, arm = model(case.model), case.arm
    if case.plan.census is not None:
        place = here.place(arm.weights, IMAGES, lambda blocks: None)
        readout = quick(arm.readout)
        members = range(min(2, getattr(case.plan.census, "chunk", 1)))
        readout.numbers(place, torch.arange(len(members)).numpy())
        return
    wanted = [quick(fit) if hasattr(fit, "recipe") else fit for fit in arm.fits]
    subject, halves = here.weights(arm.weights), (range(100), range(100, 200))
    training = Training(subject=subject, images=here.train, chunks=halves, seed=0)
    fit = fit_everything if any(isinstance(one, Statistic) for one in wanted) else fit_all
    made = fit(wanted, training, here.fit_place(arm.weights), lambda *done: None) if wanted else {}
    fits = {fit: made[small] for fit, small in zip(arm.fits, wanted, strict=True)}
    one = Request(intervention=arm.intervention, readout=arm.readout, claimants=frozenset({"x"}))
    measure_chunk(subject, here.load(range(IMAGES)), here.chunk(range(IMAGES)), [one], fits, Bill())


def counted(ran: set[Reference]) -> list[Reference]:
    kept = [one for one in ran if not one.module.startswith(NO_NUMBER) and one.name not in BILLS]
    return sorted(kept, key=lambda one: (one.module, one.name))


def mutated(source: str, name: str, draw: random.Random) -> str | None:
    """Change one constant, or drop one line, of a definition at the top of a module; None where there is nothing."""
    tree = ast.parse(source)
    node = next((one for one in tree.body if getattr(one, "name", None) == name), None)
    if node is None:
        return None
    skipped = {id(part) for one in ast.walk(node) for part in _told_to_nobody(one)}
    constants = [
        one
        for one in ast.walk(node)
        if isinstance(one, ast.Constant) and isinstance(one.value, int | float | str) and id(one) not in skipped
    ]
    lines = [
        (one, place)
        for one in ast.walk(node)
        for place, line in enumerate(getattr(one, "body", ()) if isinstance(getattr(one, "body", None), list) else ())
        if isinstance(line, ast.Assign | ast.Return | ast.AugAssign | ast.If | ast.For) and len(one.body) > 1
    ]
    if not constants and not lines:
        return None
    if constants and (not lines or draw.random() < 0.5):
        one = draw.choice(constants)
        one.value = one.value + 1 if isinstance(one.value, int | float) else one.value + "x"
    else:
        parent, place = draw.choice(lines)
        del parent.body[place]
    return ast.unparse(tree)


def _told_to_nobody(node: ast.AST) -> list[ast.AST]:
    """List what of a node changes no number: docstrings, annotations, words of errors."""
    parts: list[ast.AST] = []
    if isinstance(node, ast.Raise):
        parts = list(ast.walk(node))
    elif isinstance(node, ast.Assert) and node.msg is not None:
        parts = list(ast.walk(node.msg))
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        parts = [node.value]
    elif isinstance(node, ast.AnnAssign):
        parts = list(ast.walk(node.annotation))
    elif isinstance(node, ast.FunctionDef):
        annotations = [one.annotation for one in (*node.args.args, *node.args.kwonlyargs) if one.annotation]
        parts = [part for one in (*annotations, *filter(None, [node.returns])) for part in ast.walk(one)]
    return parts


def key_of(code, roots_: list) -> str:
    return "/".join(sorted({code.fingerprint(root) for root in roots_}))


def assert_every_change_counts(ran: list[Reference], roots_: list, seed: str) -> int:
    """Change every definition that ran in one place each: the key must change."""
    draw, tried = random.Random(seed), 0
    before = key_of(CODE, roots_)
    for reference in ran:
        source = Path(__import__("sys").modules[reference.module].__file__).read_text()
        changed = mutated(source, reference.name, draw)
        if changed is not None:
            tried += 1
            assert key_of(CODE.replacing(reference.module, changed), roots_) != before, reference
    return tried


KINDS = sorted(cases())


def test_the_claims_use_what_the_package_reads_and_edits():
    """A readout that no claim uses would not be watched here."""
    assert len(KINDS) >= 55, KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_what_ran_for_a_number_is_behind_its_key_and_any_change_of_it_counts(kind):
    case = cases()[kind]
    ran = counted(definitions_run(lambda: measure(case)))
    assert ran
    reached = {one for root in roots(case) for one in CODE.reached(root)}
    assert [one for one in ran if one not in reached] == []
    assert assert_every_change_counts(ran, roots(case), kind) >= 3


@pytest.mark.parametrize("name", sorted(SMALL_MODELS))
def test_what_a_family_runs_is_behind_the_key_of_its_models(name):
    subject = adapt(SMALL_MODELS[name](), name=name, arch=name, pretrained=False)
    images = EmbeddedImages(split="test", seed=0, limit=2)
    pictures = torch.randn(2, 3, *subject.card.preprocessing.size)

    def run():
        stream = subject.start(pictures)
        for block in range(subject.card.depth):
            sites = [site for site in ("units",) if site in subject.card.capabilities]
            stream = subject.watch(block, stream, tuple(sites))[0] if sites else subject.step(block, stream)
        if "head" in subject.card.capabilities:
            subject.logits(stream)
        if "patch_tokens" in subject.card.capabilities:
            subject.normed(stream)

    ran = counted(definitions_run(run))
    roots_ = roots_of_passes(subject, images)
    reached = {one for root in roots_ for one in CODE.reached(root)}
    assert [one for one in ran if one not in reached] == []
    assert assert_every_change_counts(ran, roots_, name) >= 1


def test_docstrings_comments_and_words_of_errors_change_no_key_of_any_arm():
    """Rewrite every module of the package at once, and compare the keys of all arms."""
    from harness.fingerprint import Code
    from harness.fingerprint.files import source_of

    class Reworded(ast.NodeTransformer):
        def visit_FunctionDef(self, node):
            self.generic_visit(node)
            node.returns = None
            if ast.get_docstring(node) is not None:
                node.body[0] = ast.Expr(ast.Constant("Said in other words."))
            return node

        def visit_Raise(self, node):
            return ast.Raise(ast.Call(ast.Name("ValueError"), [ast.Constant("another word")], []), None)

    def reworded(module: str) -> str:
        return "# a comment\n" + ast.unparse(ast.fix_missing_locations(Reworded().visit(ast.parse(source_of(module)))))

    other = Code(reworded)
    for kind, case in cases().items():
        references = [root if isinstance(root, Reference) else CODE.reference(root) for root in roots(case)]
        assert key_of(other, references) == key_of(CODE, references), kind


def test_another_family_or_another_readout_changes_no_key():
    before = fingerprint(*roots_of_passes(model("tiny_resnet").subject, model("tiny_resnet").images))
    vit = Path(loaded_model.__file__).parents[1] / "models" / "families" / "vit.py"
    changed = CODE.replacing("harness.models.families.vit", vit.read_text().replace("model.norm(tokens)", "tokens"))
    references = roots_of_passes(model("tiny_resnet").subject, model("tiny_resnet").images)
    assert key_of(changed, references) == key_of(CODE, references)
    references = roots_of_passes(model("tiny_vit").subject, model("tiny_vit").images)
    assert key_of(changed, references) != key_of(CODE, references)
    assert before == fingerprint(*roots_of_passes(model("tiny_resnet").subject, model("tiny_resnet").images))
