"""Whether a server answers, within seconds; a probe can be begun early and asked for later."""

import http.client
import os
import threading
import time
import urllib.error
import urllib.request

HUB = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
PROBE_SECONDS = 3.0

_begun: dict[str, tuple[float, threading.Thread, threading.Event]] = {}


def begin(url: str = HUB, seconds: float = PROBE_SECONDS) -> None:
    """Start to probe a server, in a thread of its own: a name server that hangs ignores the connection's timeout."""
    if url in _begun:
        return
    answered = threading.Event()

    def probe() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds).close()
        except urllib.error.HTTPError as answer:  # a refusal is an answer too
            answer.close()
        except (OSError, http.client.HTTPException):
            return
        answered.set()

    thread = threading.Thread(target=probe, daemon=True)
    _begun[url] = (time.monotonic(), thread, answered)
    thread.start()


def answers(url: str = HUB, seconds: float = PROBE_SECONDS) -> bool:
    """Tell whether a server answered within `seconds` of the beginning of its probe."""
    begin(url, seconds)
    started, thread, answered = _begun[url]
    thread.join(max(0.0, started + seconds - time.monotonic()))
    return answered.is_set()
