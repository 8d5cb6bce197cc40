"""What the installed package can do without its repository: a claim of a user's own, on a model that comes with it.

    python -m venv fresh && fresh/bin/pip install dist/*.whl
    fresh/bin/python tests/neighbours/without_the_clone.py

The commands run in an empty folder, by the interpreter that runs this script.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from matrix import BOTH, CLAIMS, LEDGER

HERE = Path(sys.executable).parent


def main() -> int:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "my_claims" / "demo").mkdir(parents=True)
        (folder / "my_claims" / "demo" / "ledger.yaml").write_text(LEDGER, encoding="utf-8")
        (folder / "my_claims" / "demo" / "test_demo.py").write_text(CLAIMS, encoding="utf-8")
        given = ["my_claims", "--claims-model", "tiny_vit", "--claims-json", "out.json", "--claims-report", "page.html"]
        commands = {
            "pytest": ([sys.executable, "-m", "pytest", *given], 1),
            "claims list": ([HERE / "claims", "list", "--claims", "my_claims"], 0),
            "claims models": ([HERE / "claims", "models", "--model", "tiny_vit"], 0),
            "claims explain": ([HERE / "claims", "explain", "early", "--claims", "my_claims"], 0),
            "claims accept": ([HERE / "claims", "accept", "--baseline", "accepted.json"], 0),
            "claims report": ([HERE / "claims", "report", "--claims", "my_claims", "--out", "page.md"], 0),
        }
        for name, (command, code) in commands.items():
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode != code:
                print(f"{name} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
                return 1
        made = {
            record["claim"]: record["verdict"] for record in json.loads((folder / "out.json").read_text())["records"]
        }
        where = subprocess.run(
            [sys.executable, "-c", "import harness; print(harness.__file__)"],
            cwd=folder,
            capture_output=True,
            text=True,
        ).stdout.strip()
        print(f"Python {sys.version.split()[0]}: {len(commands)} commands by {where}; verdicts {made}")
        return 0 if made == BOTH else 1


if __name__ == "__main__":
    sys.exit(main())
