"""A full disk under every writer: one sentence, the file of before stays whole, and no half file is left behind.

    python tests/faults/full_disk.py

Where a small file system in memory can be mounted it is filled to different degrees; elsewhere the size of files is
limited for the process. Prints one line, and ends with 1 where a writer failed.
"""

import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import scene
from safetensors import SafetensorError

from harness.errors import ClaimsError
from harness.files import write_whole
from harness.probes.training.files import FitPlace
from harness.results.accepted_outcomes import read_outcomes
from harness.results.baselines import read_baseline
from harness.results.history import open_history
from harness.results.run_file import read_document
from harness.results.store_errors import of_the_disk

FREE = (0, 1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128)  # KiB that are left to a writer
BASELINE = Path("mine/baselines/embedded.json")


def run(*arguments: str) -> tuple[int, str]:
    return scene.ask_pytest("--model", scene.MODELS[0], *arguments)


def fits() -> tuple[int, str]:
    """Write the file of a fit, as large as a small probe."""
    try:
        FitPlace(folder=Path(".claims/fits"), context="x").write("fit", {"weights": np.ones(20_000)})
    except (OSError, SafetensorError) as error:
        trouble = of_the_disk(error, Path(".claims"))  # as a run tells it
        return 2, traceback.format_exc() if trouble is None else str(trouble)
    return 0, ""


def sheet() -> tuple[int, str]:
    try:
        write_whole(Path("sheets/one.png"), os.urandom(60_000), "the sheet")
    except ClaimsError as error:
        return 2, f"claims visualize: {error}"
    return 0, ""


WRITERS: dict[str, Callable[[], tuple[int, str]]] = {
    "accept": lambda: scene.ask(scene.COMMANDS["accept"]),
    "accept --replace": lambda: scene.ask(scene.COMMANDS["accept --replace"]),
    "report .html": lambda: scene.ask(("report", "--claims", "mine", "--out", "page.html")),
    "report .md": lambda: scene.ask(("report", "--claims", "mine", "--out", "page.md")),
    "report .csv": lambda: scene.ask(("report", "--claims", "mine", "--out", "page.csv")),
    "report .parquet": lambda: scene.ask(("report", "--claims", "mine", "--out", "page.parquet")),
    "run --claims-json": lambda: run("--claims-json", "out.json", "--claims-no-history", "--claims-no-cache"),
    "run --claims-report": lambda: run("--claims-report", "run.html", "--claims-no-history", "--claims-no-cache"),
    "run, measurements": lambda: run("--claims-no-history", "--claims-seed", "3"),
    "run, history": lambda: run("--claims-no-cache", "--claims-seed", "4"),
    "run, all": lambda: run("--claims-json", "out.json", "--claims-seed", "5"),
    "fits": fits,
    "sheet": sheet,
}
OLD = ("page.html", "page.md", "page.csv", "page.curves.csv", "page.parquet", "out.json", "run.html", "sheets/one.png")


@contextmanager
def disk(folder: Path) -> Iterator[bool]:
    """Mount a file system of 16 MiB; False where that cannot be done."""
    how = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    mounted = os.getuid() == 0 and shutil.which("mount") is not None
    mounted = mounted and subprocess.run(how, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        os.chdir("/")
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)


def fill(left: int) -> None:
    """Leave so many KiB of the current disk."""
    free = shutil.disk_usage(".").free - left * 1024
    Path("filler").write_bytes(b"\0" * max(0, free))


def limited(writer: Callable[[], tuple[int, str]], left: int) -> tuple[int, str]:
    """Call a writer where no file may grow beyond so many KiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(left, 1) * 1024, before[1]))
    try:
        return writer()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def wrong(before: dict[str, bytes], code: int, text: str) -> Iterator[str]:
    """Say what is not as it must be after a writer."""
    if scene.bare(text):
        yield f"a traceback: {text.strip().splitlines()[-1][:150]}"
    read_outcomes(BASELINE.with_suffix(".safetensors"))
    verdicts = read_baseline.__wrapped__(BASELINE, explicit=True).models[scene.MODELS[0]]["verdicts"]
    if len(verdicts) != 7:
        yield f"{len(verdicts)} accepted verdicts are left of 7"
    if Path("out.json").stat().st_size != len(before["out.json"]):
        read_document(Path("out.json"))
    for name in OLD:
        now = Path(name).read_bytes()
        if now != before[name] and (not now or (code == 2 and not name.startswith(("out", "run")))):
            yield f"{name} is not what it was: {len(now)} bytes"
    yield from (f"{path} is left behind" for path in Path().rglob(".claims-*.draft"))
    open_history(Path(".claims")).close()


def trial(whole: Path, folder: Path, name: str, left: int, mounted: bool) -> tuple[int, list[str]]:
    """Try one writer with so many KiB left."""
    os.chdir("/")
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    os.chdir(folder)
    before = {name: Path(name).read_bytes() for name in OLD}
    if mounted:
        fill(left)
        code, text = WRITERS[name]()
        Path("filler").unlink()
    else:
        code, text = limited(WRITERS[name], left)
    return code, list(wrong(before, code, text))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", help="a part of the name of a writer")
    asked = parser.parse_args()
    failed = trials = refused = 0
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory() as small, disk(Path(small)) as mounted:
        whole = Path(place, "whole")
        whole.mkdir()
        scene.make(whole)
        for name in OLD:
            Path(name).parent.mkdir(exist_ok=True)
            Path(name).write_bytes(b"what was there before")
        assert run("--claims-json", "out.json")[0] in (0, 1)
        for name in WRITERS:
            for left in FREE if not asked.only or asked.only in name else ():
                code, found = trial(whole, Path(small), name, left, mounted)
                trials, refused, failed = trials + 1, refused + (code not in (0, 1)), failed + bool(found)
                for text in found:
                    print(f"  {name}, {left} KiB left: {text}", flush=True)
    how = "a mounted disk" if mounted else "a limit on files"
    print(f"| full disk ({how}), {len(WRITERS)} writers | {trials} trials, {refused} refused | {failed} failures |")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
