"""`claims new ID`: a claim to start from, that runs as it is: ledger entry, function, planted true and false case."""

import argparse
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from string import Template

from harness.errors import ClaimsError
from harness.files import write_whole

NAME = "new"
HELP = "write a claim to start from: ledger entry, function, and models of which it is true and false"
TEMPLATES = Path(__file__).parent / "new_claim"
ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
ONE = {"late_reader": "supported", "early_carrier": "refuted"}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What the template of one kind of claim says until somebody writes the finding there."""

    statement: str
    quantity: str
    protocol: str
    control: str
    bound: float
    needs: str
    cases: dict[str, str]
    subjects: str = ""


KINDS = {
    "arm": Kind(
        statement="Exchanging class tokens between pictures after the first block costs little accuracy.",
        quantity="accuracy kept when class tokens are exchanged after the first block",
        protocol="Accuracy with class tokens exchanged after block 0 over accuracy without, same pictures.",
        control="The same exchange after the last block, where nothing can be made good any more.",
        bound=0.8,
        needs="class_token, labels",
        cases=ONE,
    ),
    "curve": Kind(
        statement="Exchanging class tokens costs little accuracy in every block of the first half.",
        quantity="accuracy kept when class tokens are exchanged in the first half of the blocks",
        protocol="Accuracy with class tokens exchanged after a block over accuracy without, every block.",
        control="The same exchange after the last block.",
        bound=0.8,
        needs="class_token, labels",
        cases=ONE,
    ),
    "comparison": Kind(
        statement="The first model is more accurate than the second when class tokens are exchanged early.",
        quantity="accuracy with class tokens exchanged after the first block, first model less second",
        protocol="Accuracy with class tokens exchanged after block 0, two models on the same pictures.",
        control="The same exchange after the last block, where neither keeps anything.",
        bound=0.2,
        needs="labels",
        cases={"late_reader vs early_carrier": "supported", "early_carrier vs late_reader": "refuted"},
        subjects="\n  subjects: {first: [class_token], second: [class_token]}",
    ),
    "probe": Kind(
        statement="A linear probe reads the class from the class token after the first block.",
        quantity="accuracy of a linear probe of the class token after the first block",
        protocol="A ridge probe is fitted on class tokens of training pictures after block 0, and scored on others.",
        control="The same probe fitted on permuted labels.",
        bound=0.6,
        needs="class_token, labels, train",
        cases={"early_carrier": "supported", "late_reader": "refuted"},
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    parser.add_argument("id", metavar="ID", help="id of the claim: small letters, digits and hyphens")
    parser.add_argument("--kind", choices=sorted(KINDS), default="arm", help="what it compares (default: arm)")
    parser.add_argument("--into", type=Path, default=Path("my_claims"), metavar="DIR", help="default: my_claims")


def run(asked: argparse.Namespace) -> int:
    """Write three files into a folder of their own, and say what to do with them."""
    if not ID.fullmatch(asked.id):
        raise ClaimsError(f"id {asked.id!r}; allowed: small letters and digits, joined by hyphens, as in 'my-finding'")
    folder = asked.into / asked.id.replace("-", "_")
    if folder.exists():
        raise ClaimsError(f"{str(folder)!r} exists; take another id, or another folder: --into DIR")
    for name, text in files_of(asked.id, KINDS[asked.kind], asked.kind).items():
        write_whole(folder / name, text.encode("utf-8"), "the claim")
        print(f"wrote {folder / name}")
    print(f"write your finding there, and check it before any model is loaded:  claims check {asked.into}")
    print(f"the planted models tell whether it can be true and false:           pytest {folder} -k planted")
    print(f"ask a model:                                  pytest {asked.into} --claims-model tiny_vit")
    return 0


def files_of(identifier: str, kind: Kind, template: str) -> dict[str, str]:
    """Fill the templates: text by name of file."""
    name = identifier.replace("-", "_")
    values = {
        **{field: getattr(kind, field) for field in kind.__dataclass_fields__},
        "id": identifier,
        "name": name,
        "year": datetime.now(UTC).year,
        "cases": ", ".join(f'"{models}": "{verdict}"' for models, verdict in kind.cases.items()),
    }
    sources = {"ledger.yaml": "ledger.yaml", f"test_{name}.py": f"{template}.py"}
    sources[f"test_planted_{name}.py"] = "planted.py"
    return {
        target: Template((TEMPLATES / f"{source}.txt").read_text(encoding="utf-8")).substitute(values)
        for target, source in sources.items()
    }
