"""docs/in-other-tools.md, done: a run is served, and the page's files and commands are run against it.

    python -m venv tools && tools/bin/pip install ...          # as the page says
    python scripts/check_tools.py --hswarm "$(which hswarm)" --tools tools/bin RUN

Prints what each command printed last; exits with status 1 if one fails. Needs port 8000, which the page names.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs/in-other-tools.md"
FILE = re.compile(r"^`(\S+)`:\n\n```\w+\n(.*?)^```$", re.M | re.S)
COMMAND = re.compile(r"^```sh\n(.*?)\n```$", re.M | re.S)
SETTINGS = {
    "OPENAI_API_KEY": "none",
    "HSWARM_BASE_URL": "http://127.0.0.1:8000/v1",
    "HSWARM_API_KEY": "none",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", metavar="RUN", help="the run to serve")
    parser.add_argument("--hswarm", default="hswarm", metavar="COMMAND", help="the hswarm command to serve with")
    parser.add_argument(
        "--tools", required=True, type=Path, metavar="DIR", help="the programs of the tools' environment"
    )
    arguments = parser.parse_args()
    hswarm = Path(arguments.hswarm).absolute()
    words = [hswarm, "serve", arguments.run, "--name", "demo"]
    with (
        tempfile.TemporaryDirectory() as place,
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server,
    ):
        assert server.stdout
        assert "API http://127.0.0.1:8000/v1" in server.stdout.readline()
        try:
            return _page(Path(place), hswarm.with_name("python"), arguments.tools.absolute())
        finally:
            server.terminate()


def _page(folder: Path, python: Path, tools: Path) -> int:
    text = PAGE.read_text(encoding="utf-8")
    for name, content in FILE.findall(text):
        (folder / name).write_text(content)
    subprocess.run([python, "questions.py"], cwd=folder, check=True)
    failed = 0
    for command in COMMAND.findall(text):
        program, *rest = shlex.split(command)
        environment = os.environ | SETTINGS
        environment.pop("PYTHONPATH", None)  # the tools have packages of their own
        done = subprocess.run(
            [tools / program, *rest], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        failed += done.returncode != 0
        print(f"$ {command}\n{(done.stdout if done.returncode == 0 else done.stderr)[-400:]}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
