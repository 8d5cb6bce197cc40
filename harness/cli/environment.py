"""Traps of the environment that cost others days: each check says what is so, and how to mend it."""

import importlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path

from harness.models.hub import answers

TIMM_TESTED = ((1, 0, 28), (1, 0, 31))
NO_LOADGROUP = ("9.2.0", "3.8.0")  # versions of pytest and pytest-xdist that together ignore --dist loadgroup
PROBE_SECONDS = 3.0  # for one answer of the hub
HUB = "https://huggingface.co"
RETRY_SECONDS = 47  # what the hub client of timm spends on one file without network
LEAST_DISK = 200 * 2**20  # bytes; a nightly run of the zoo stores about a tenth of it
PLUGIN = "harness.pytest_plugin"
NOTHING_COLLECTED = 5  # exit code of pytest
START_SECONDS = 60.0
OTHERS = "pip list | grep pytest, and switch off what fails: -p no:NAME"


@dataclass(frozen=True, kw_only=True)
class Check:
    """What a check found: fine, or a trap with its cure; `breaks` where a run would fail or be wrong by it."""

    name: str
    text: str
    cure: str = ""
    breaks: bool = False

    @property
    def trap(self) -> bool:
        """Say whether something should be mended."""
        return bool(self.cure)


def examine(cache: Path) -> list[Check]:
    """Run every check; `cache` is the folder of stored measurements."""
    checks: tuple[Callable[[], Check], ...] = (
        check_torch,
        check_timm,
        check_timm_version,
        check_fused_attention,
        check_hub,
        check_plugin,
        check_neighbours,
        check_xdist,
        check_benchmark,
        check_threads,
        lambda: check_disk(cache),
        lambda: check_store(cache),
    )
    return [check() for check in checks]


def check_torch() -> Check:
    """Import torch."""
    try:
        torch = importlib.import_module("torch")
    except (ImportError, OSError) as error:
        return Check(name="torch", text=f"cannot be imported: {error}", cure="pip install torch", breaks=True)
    devices = f"{torch.cuda.device_count()} CUDA device(s)" if torch.cuda.is_available() else "no CUDA device"
    return Check(name="torch", text=f"{torch.__version__}, {devices}")


def check_timm() -> Check:
    """Import timm, which imports torchvision: builds of torch and torchvision that do not match fail here."""
    try:
        importlib.import_module("timm")
    except RuntimeError as error:
        cure = "install torch and torchvision from one index: pip install --force-reinstall torch torchvision"
        why = "torch and torchvision are of different builds" if "torchvision::" in str(error) else "it raised"
        return Check(name="timm", text=f"cannot be imported, {why}: {error}", cure=cure, breaks=True)
    except ImportError as error:
        return Check(name="timm", text=f"cannot be imported: {error}", cure="pip install timm", breaks=True)
    torchvision = _version("torchvision") or "missing"
    return Check(name="timm", text=f"imports beside torchvision {torchvision}")


def check_timm_version() -> Check:
    """Compare timm's version with the range that the adapters were tested on."""
    found = _version("timm")
    low, high = (".".join(map(str, end)) for end in TIMM_TESTED)
    name, cure = "timm version", f"pip install 'timm>={low},<={high}'"
    if found is None:
        return Check(name=name, text="not installed", cure=cure, breaks=True)
    numbers = tuple(int(part) for part in found.split(".")[:3] if part.isdecimal())
    if numbers < TIMM_TESTED[0]:
        return Check(name=name, text=f"{found}; the adapters need {low} or later", cure=cure, breaks=True)
    if numbers > TIMM_TESTED[1]:
        text = f"{found} is later than the tested {low} to {high}; forward passes may have changed"
        return Check(name=name, text=text, cure=f"pytest tests/test_adapter_contract.py, or {cure}")
    return Check(name=name, text=f"{found}, tested range {low} to {high}")


def check_fused_attention() -> Check:
    """Explain fused attention: nothing to mend here, but hooks of one's own would be silent."""
    text = (
        "a hook on the attention pattern never fires where attention is fused, which is timm's default; the claims "
        "need no such hook. In code of your own set `fused_attn = False` on each attention module: `set_fused_attn` "
        "acts only on models that are built after it"
    )
    return Check(name="fused attention", text=text)


def check_hub() -> Check:
    """See whether the weights' hub can be reached, and whether a miss would cost the retries of its client."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return Check(name="hub", text="HF_HUB_OFFLINE is set: weights come from the local cache, at once or not at all")
    endpoint = os.environ.get("HF_ENDPOINT", HUB)
    if answers(endpoint, PROBE_SECONDS):
        return Check(name="hub", text=f"{endpoint} answers: weights can be downloaded")
    text = (
        f"{endpoint} gave no answer within {PROBE_SECONDS:g} s; `timm.create_model(pretrained=True)` would retry for "
        f"{RETRY_SECONDS} s (a run of claims asks first and does not)"
    )
    return Check(
        name="hub", text=text, cure="export HF_HUB_OFFLINE=1, and give local checkpoints: --model PATH,arch=NAME"
    )


def check_plugin() -> Check:
    """See that pytest will find the plugin."""
    if any(point.value == PLUGIN for point in entry_points(group="pytest11")):
        return Check(name="plugin", text=f"pytest {_version('pytest')} loads {PLUGIN}")
    return Check(
        name="plugin", text=f"pytest does not know {PLUGIN}", cure="pip install -e . in the repository", breaks=True
    )


def check_neighbours() -> Check:
    """Start pytest in an empty folder, with the short names of options: other plugins may have taken them."""
    with tempfile.TemporaryDirectory() as folder:
        how = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "harness.short_names",
            "--collect-only",
            "--rootdir",
            folder,
            folder,
        ]
        try:
            done = subprocess.run(how, cwd=folder, capture_output=True, text=True, timeout=START_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return Check(name="neighbours", text=f"pytest does not start: {error}", cure=OTHERS, breaks=True)
    if done.returncode not in (0, NOTHING_COLLECTED):
        why = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()][-1:]
        return Check(name="neighbours", text=f"pytest does not start: {' '.join(why)}", cure=OTHERS, breaks=True)
    taken = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("claims: --")]
    if taken:
        text = f"{', '.join(taken)} belong to other plugins of this environment, and are no options of claims here"
        cure = f"say {', '.join(name.replace('--', '--claims-', 1) for name in taken)}"
        return Check(name="neighbours", text=text, cure=cure)
    return Check(name="neighbours", text="pytest starts beside all plugins, and none took a name of ours")


def check_xdist() -> Check:
    """Recognize the versions that drop --dist loadgroup without a word."""
    found = (_version("pytest"), _version("pytest-xdist"))
    if found[1] is None:
        return Check(name="xdist", text="pytest-xdist is not installed; claims run in one process")
    if found == NO_LOADGROUP:
        text = f"pytest {found[0]} with pytest-xdist {found[1]} silently ignores --dist loadgroup"
        return Check(name="xdist", text=text, cure="use --dist loadfile, or another version of either")
    return Check(name="xdist", text=f"pytest {found[0]} with pytest-xdist {found[1]}")


def check_benchmark() -> Check:
    """Say where timings come from."""
    found = _version("pytest-benchmark")
    if found is None:
        return Check(
            name="benchmark", text="pytest-benchmark is not installed; timings are in the records all the same"
        )
    text = f"pytest-benchmark {found}; under xdist it disables itself, and timings come from the records"
    return Check(name="benchmark", text=text)


def check_threads() -> Check:
    """Compare torch's threads with the cores that this process may use."""
    try:
        torch = importlib.import_module("torch")
    except (ImportError, OSError):
        return Check(name="threads", text="not known without torch")
    cores, threads = _cores(), torch.get_num_threads()
    text = f"{threads} threads of torch on {cores} core(s)"
    if threads > cores:
        return Check(name="threads", text=f"{text}: they wait for one another", cure=f"export OMP_NUM_THREADS={cores}")
    return Check(name="threads", text=text)


def check_disk(cache: Path) -> Check:
    """See that measurements have room."""
    free = shutil.disk_usage(_existing(cache)).free
    text = f"{free / 2**30:.1f} GiB free for {cache}"
    if free < LEAST_DISK:
        return Check(name="disk", text=text, cure="make room, or --claims-cache DIR on another disk", breaks=True)
    return Check(name="disk", text=text)


def check_store(cache: Path) -> Check:
    """Write a database of the store's kind beside it: shared folders often cannot lock, or refuse the journal."""
    cure = "use --claims-cache DIR on a local disk that you may write to"
    try:
        with (
            tempfile.TemporaryDirectory(dir=_existing(cache)) as folder,
            closing(sqlite3.connect(Path(folder) / "probe.sqlite")) as database,
        ):
            (mode,) = database.execute("PRAGMA journal_mode=WAL").fetchone()
            database.execute("CREATE TABLE probe (number INTEGER)")
    except (OSError, sqlite3.Error) as error:
        return Check(name="store", text=f"cannot write to {cache}: {error}", cure=cure, breaks=True)
    if mode != "wal":
        text = f"{cache} does not take SQLite's write-ahead log (journal mode {mode!r}); two runs at once may block"
        return Check(name="store", text=text, cure=cure, breaks=True)
    return Check(name="store", text=f"{cache} can be written, with a write-ahead log")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _existing(path: Path) -> Path:
    """Give the folder itself or the nearest one above it that exists."""
    path = path.resolve()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())
