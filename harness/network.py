"""Whether a server answers, within seconds."""

import http.client
import threading
import urllib.error
import urllib.request


def answers(url: str, seconds: float) -> bool:
    """Probe in a thread of its own: a name server that hangs ignores the timeout of the connection."""
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
    thread.start()
    thread.join(seconds)
    return answered.is_set()
