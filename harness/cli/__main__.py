"""The `claims` command: arguments in, one of the commands run; every one of them is a module beside this one."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from harness.cli import (
    accept,
    check,
    compare,
    diff,
    doctor,
    explain,
    history,
    judge,
    list_claims,
    merge,
    models,
    new,
    nightly,
    plan,
    prune,
    report,
    site,
    visualize,
)
from harness.errors import ClaimsError, brief
from harness.report.escaping import paragraphs

COMMANDS = (
    *(list_claims, explain, models, plan, judge, accept, report, site, history, compare, diff, merge, prune),
    *(visualize, nightly, doctor, new, check),
)
USAGE_ERROR = 2
INTERRUPTED = 130
LONGEST = 400  # characters of a message about an argument


class Parser(argparse.ArgumentParser):
    """A parser whose messages are short, and act on no terminal."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with an argument, and end."""
        super().error(paragraphs(message if len(message) <= LONGEST else f"{message[:LONGEST]}..."))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 is fine, 1 what doctor or nightly found, 2 a wrong argument or anything that was refused."""
    asked = parser().parse_args(arguments)
    try:
        return asked.run(asked)
    except ClaimsError as error:
        print(paragraphs(f"claims {asked.command}: {error}"), file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe (head, less) has seen enough
        sys.stderr.close()
        return 0
    except OSError as error:  # a name that is too long, a folder that may not be entered
        why = error.strerror or type(error).__name__
        print(paragraphs(f"claims {asked.command}: cannot use {brief(error.filename)}: {why}"), file=sys.stderr)
        return USAGE_ERROR


def parser() -> argparse.ArgumentParser:
    """Build the parser from what each command declares of itself."""
    top = Parser(prog="claims", description="Executable claims about vision models.")
    below = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        added = below.add_parser(command.NAME, help=command.HELP, description=command.HELP)
        command.add_arguments(added)
        added.set_defaults(run=command.run)
    return top


if __name__ == "__main__":
    sys.exit(main())
