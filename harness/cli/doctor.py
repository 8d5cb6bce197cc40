"""`claims doctor`: what in this environment would mislead or stop a run, and the cure."""

import argparse

from harness.cli.arguments import add_cache
from harness.cli.console import show_field

NAME = "doctor"
HELP = "look for traps of the environment; exit code 1 if one would break a run"
TRAP_FOUND = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    add_cache(parser)


def run(asked: argparse.Namespace) -> int:
    """Print every check with its cure."""
    from harness.cli.environment import examine

    found = examine(asked.cache)
    for finding in found:
        state = "ok" if not finding.trap else "TRAP" if finding.breaks else "trap"
        show_field(f"{state:<5}", f"{finding.name}: {finding.text}")
        if finding.trap:
            show_field("", f"cure: {finding.cure}")
    traps = [finding for finding in found if finding.trap]
    breaking = sum(finding.breaks for finding in traps)
    print(f"{len(found)} checks, {len(traps)} traps, {breaking} of them (TRAP) would break a run")
    return TRAP_FOUND if breaking else 0
