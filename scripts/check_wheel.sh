#!/usr/bin/env bash
# Builds sdist and wheel, installs the wheel without extras into a fresh environment, and runs what it promises there.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
${PYTHON:-python3} -m venv "$work/build" && "$work/build/bin/pip" install --quiet build
"$work/build/bin/python" -m build --outdir "$work/dist" . > "$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
${PYTHON:-python3} -m venv "$work/fresh" && "$work/fresh/bin/pip" install --quiet --constraint constraints.txt "$work"/dist/*.whl
cd "$work"
fresh/bin/hswarm --version
fresh/bin/hswarm new own
fresh/bin/hswarm demo --run demo > demo.txt 2> demo.log || { cat demo.log; exit 1; }
tail -3 demo.txt
fresh/bin/hswarm new micro
if fresh/bin/hswarm search micro.toml 2> missing.txt; then echo "expected a missing extra to be named"; exit 1; fi
cat missing.txt
grep -q "pip install 'hswarm\[" missing.txt
echo "the wheel works alone"
