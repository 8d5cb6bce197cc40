"""The options of a run as data: what they are called, and what they mean.

The pytest plugin owns the long names (`--claims-model`) alone: pytest runs in projects whose own options are called
`--model` or `--device`. The short ones are added where somebody asks for them (`harness.short_names`).

Nothing but the standard library is imported here: every pytest run reads this, also one without claims.
"""

from dataclasses import dataclass
from typing import Any

DTYPES = ("float32", "float64", "bfloat16", "float16")
DEFAULT_CACHE = ".claims"
GROUP = "executable claims about vision models"
SHORT_DEST = "claims_short_"


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option: its name, kind, and what it means; `short` says that it may be given without the prefix."""

    name: str
    kind: str
    default: str | None
    help: str
    short: bool = False
    repeatable: bool = False
    choices: tuple[str, ...] = ()

    @property
    def dest(self) -> str:
        """Name the value among those of a run: as the shortest flag of the option is called."""
        return self.name if self.short else self.ini

    @property
    def ini(self) -> str:
        """Name the ini key, which is also what pytest calls the value of the long flag."""
        return f"claims_{self.name}"

    @property
    def flag(self) -> str:
        """Spell the flag that the plugin owns."""
        return f"--claims-{self.name.replace('_', '-')}"

    @property
    def short_flag(self) -> str | None:
        """Spell the flag without the prefix, where the option has one."""
        return f"--{self.name.replace('_', '-')}" if self.short else None

    @property
    def short_dest(self) -> str:
        """Name what pytest calls the value of the short flag: two flags of two plugins cannot share one."""
        return SHORT_DEST + self.name

    @property
    def how(self) -> dict[str, Any]:
        """Give what a parser must know beside the flag."""
        default = f" (default {self.default})" if self.default and "default" not in self.help else ""
        kind = {"action": "store_true", "default": None} if self.kind == "flag" else {}
        return {"help": self.help + default, **kind, **({"action": "append"} if self.repeatable else {})}


OPTIONS = (
    Option(
        name="model",
        short=True,
        kind="text",
        default=None,
        repeatable=True,
        help="model to judge: alias, timm name with tag, package.module:factory, or PATH,arch=NAME (repeatable; "
        "default: the embedded zoo)",
    ),
    Option(
        name="claim",
        short=True,
        kind="text",
        default=None,
        repeatable=True,
        help="claim id to run (repeatable; default: all)",
    ),
    Option(
        name="data",
        short=True,
        kind="text",
        default=None,
        help="pictures: a folder, a tar, hfds/NAME, or embedded:SWITCH=VALUE,... (default: embedded)",
    ),
    Option(
        name="train_data",
        short=True,
        kind="text",
        default=None,
        help="pictures on which probes are fitted",
    ),
    Option(
        name="pretrained", short=True, kind="choice", default="yes", choices=("yes", "no"), help="no: random weights"
    ),
    Option(
        name="device",
        short=True,
        kind="text",
        default="cpu",
        help="torch device",
    ),
    Option(
        name="dtype",
        short=True,
        kind="choice",
        default="float32",
        choices=DTYPES,
        help="dtype of the model",
    ),
    Option(
        name="batch_size",
        short=True,
        kind="count",
        default="64",
        help="images measured together (a chunk)",
    ),
    Option(
        name="max_images",
        short=True,
        kind="count",
        default=None,
        help="cap on the image budget of every claim",
    ),
    Option(
        name="train_images",
        short=True,
        kind="count",
        default=None,
        help="cap on training images (default: 200 per class)",
    ),
    Option(
        name="delta",
        short=True,
        kind="error",
        default=None,
        help="error level of every verdict (default: the ledger's)",
    ),
    Option(name="seed", kind="seed", default="0", help="seed of image order, donors and random weights"),
    Option(
        name="target",
        kind="choice",
        default="distribution",
        choices=("distribution", "images", "classes"),
        help="judge the distribution behind the images, exactly the given set (drawn without replacement), or the "
        "classes behind those of the set (classes are counted)",
    ),
    Option(name="baseline", kind="text", default=None, help="file of expected verdicts, or 'none'"),
    Option(
        name="inconclusive",
        kind="choice",
        default="skip",
        choices=("skip", "fail"),
        help="what an inconclusive claim does to the exit code",
    ),
    Option(name="cache", kind="text", default=DEFAULT_CACHE, help="folder of stored measurements"),
    Option(name="no_cache", kind="flag", default=None, help="measure everything anew, keep no measurement"),
    Option(name="no_history", kind="flag", default=None, help="leave this run out of the history of runs"),
    Option(
        name="jobs",
        kind="jobs",
        default=None,
        help="processes that measure models side by side (default: one per processor for the embedded zoo, else 1)",
    ),
    Option(
        name="shard",
        kind="shard",
        default=None,
        help="I/N: the I-th of N parts of the run, for as many machines; `claims merge` joins what they find",
    ),
    Option(
        name="minutes",
        kind="minutes",
        default=None,
        help="end after so many minutes: cheap claims first, what is open then is inconclusive, and the same command "
        "goes on (default: no end)",
    ),
    Option(name="rounds", kind="rounds", default="1", help="how often a benchmarked claim is timed"),
    Option(name="json", kind="text", default=None, help="write the records of this run to a JSON file"),
    Option(
        name="report",
        kind="text",
        default=None,
        repeatable=True,
        help="write a report of this run, by suffix .html, .md, .csv or .parquet (repeatable)",
    ),
)
