"""Times a claim beside a calibration kernel, so that timings of different nights can be compared.

On a processor the clock counts the time that this process computes: what other processes take from a shared machine is
no time of ours. (Waiting for a disk is not seen then.) Elsewhere it is the clock on the wall.
"""

import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from harness.measurement.sequential import Outcome
from harness.regression.slowdown import Timing
from harness.results.record import RunRecord
from harness.running.options import RunOptions

REPEATS = 5  # of the kernel each time: the least counts
TOKENS, WIDTH = 1024, 192  # of the kernel: one MLP of a small vision transformer on 16 pictures


def timed(benchmark: Any, measure: Callable[[], Outcome], record: RunRecord, options: RunOptions) -> None:
    """Time one claim in as many rounds as the run asks for, with the kernel before and after each of them."""
    calibrations: list[float] = []
    seconds: list[float] = []

    def calibrate() -> None:
        calibrations.append(kernel_seconds(options.device))

    def clocked() -> Outcome:
        clock = _clock(options.device)
        start = clock()
        outcome = measure()
        seconds.append(clock() - start)
        return outcome

    outcome = benchmark.pedantic(clocked, setup=calibrate, rounds=options.rounds, iterations=1)
    calibrate()
    benchmark.extra_info.update({name: getattr(record, name) for name in ("claim", "model", "verdict", "images")})
    benchmark.extra_info.update(
        {
            "block_evaluations": outcome.cost.block_evaluations,
            "least_seconds": min(seconds),
            "calibration": min(calibrations),
            "machine": machine_kind(options.device),
        }
    )


def read_timings(benchmarks: list[Mapping[str, Any]]) -> list[tuple[str, Timing]]:
    """Read the timings of claims, each with the kind of machine, from the entries of a pytest-benchmark file."""
    found = []
    for entry in benchmarks:
        about = entry["extra_info"]
        if "calibration" in about:
            timing = Timing(
                claim=about["claim"],
                model=about["model"],
                seconds=about["least_seconds"],
                calibration=about["calibration"],
                work=about["block_evaluations"],
                images=about["images"],
            )
            found.append((about["machine"], timing))
    return found


def kernel_seconds(device: str) -> float:
    """Time the kernel a few times and give the least seconds: two matrix products, a nonlinearity and a softmax."""
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randn(TOKENS, WIDTH, generator=draw).to(device)
    inner = torch.randn(WIDTH, 4 * WIDTH, generator=draw).to(device)
    outer = torch.randn(4 * WIDTH, WIDTH, generator=draw).to(device)
    seconds, clock = [], _clock(device)
    with torch.inference_mode():
        for _ in range(REPEATS):
            start = clock()
            torch.softmax(torch.nn.functional.gelu(tokens @ inner) @ outer, dim=-1).sum().item()
            seconds.append(clock() - start)
    return min(seconds)


def machine_kind(device: str) -> str:
    """Describe what makes timings comparable: processor, cores, threads, device and the version of torch."""
    kind = torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else device
    threads = torch.get_num_threads()
    return f"{_processor()}; {os.cpu_count()} cores, {threads} threads; {kind}; torch {torch.__version__}"


def _clock(device: str) -> Callable[[], float]:
    return time.process_time if torch.device(device).type == "cpu" else time.perf_counter


def _processor() -> str:
    info = Path("/proc/cpuinfo")  # platform.processor() is empty on Linux
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
