"""`claims list`: what can be asked, one line per claim."""

import argparse
import textwrap

from harness.cli.arguments import add_claims_folder
from harness.cli.console import width
from harness.judging.catalogue import specs_below
from harness.judging.discovery import chosen
from harness.report.escaping import plain

NAME = "list"
HELP = "list the claims of a folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    add_claims_folder(parser)
    parser.add_argument("--source", metavar="KEY", help="only claims of this source")
    parser.add_argument("--tier", choices=("core", "extended", "report-only"), help="only claims of this tier")


def run(asked: argparse.Namespace) -> int:
    """Print the claims; only ledgers are read."""
    specs = specs_below(asked.claims)
    sources = {spec.source.key: spec.source for spec in specs.values()}
    kept = chosen(sources, [asked.source] if asked.source else None, "source", "--source")
    picked = [
        spec for spec in specs.values() if spec.source.key in kept and (asked.tier is None or spec.tier == asked.tier)
    ]
    for spec in picked:
        versus = f"; compares {', '.join(spec.subjects)}" if spec.subjects else ""
        needs = ", ".join(spec.needs) or "nothing"
        print(plain(f"{spec.id}  ({spec.code}, {spec.tier}, {spec.source.key}; needs {needs}{versus})"))
        print(plain("    " + textwrap.shorten(spec.statement, width() - 4, placeholder=" ...")))
    print(f"{len(picked)} of {len(specs)} claims; `claims explain ID` tells one in full")
    return 0
