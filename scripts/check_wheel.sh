#!/usr/bin/env bash
# Builds sdist and wheel, and runs what they promise in fresh environments: without extras, then with [cpu] a search of real
# experts; [all], which holds the other extras, resolves. PYTHON names the interpreter, DIST a folder that keeps the packages.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
dist=${DIST:-$work/dist}
${PYTHON:-python3} -m venv "$work/build" && "$work/build/bin/pip" install --quiet build twine
"$work/build/bin/python" -m build --outdir "$dist" . > "$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
"$work/build/bin/twine" check --strict "$dist"/*
# the wheel was built from the sdist, so what it needs is there; so must be what developers and readers need
tar tf "$dist"/*.tar.gz | cut -d/ -f2- > "$work/sdist.txt"
for file in LICENSE README.md CHANGELOG.md CITATION.cff Makefile constraints.txt docs/quickstart.md recipes/paper/nlgraph.toml \
  tests/test_house.py examples/own_task.py experts/micro/base/model.safetensors scripts/release.sh; do
  grep -qx "$file" "$work/sdist.txt" || { echo "the sdist lacks $file"; exit 1; }
done
${PYTHON:-python3} -m venv "$work/fresh" && "$work/fresh/bin/pip" install --quiet --constraint constraints.txt "$dist"/*.whl
cd "$work"
fresh/bin/hswarm --version
for kind in toy micro smollm2 own paper; do fresh/bin/hswarm new $kind; done
fresh/bin/hswarm demo --run demo > demo.txt 2> demo.log || { cat demo.log; exit 1; }
tail -3 demo.txt
printf '{"question": "%s + 1?", "answer": "%s"}\n' 1 2 2 3 3 4 4 5 5 6 6 7 > sums.jsonl
fresh/bin/hswarm new own --pool micro/pool --data sums.jsonl --file mine.toml
missing() { # a command without the extra that it needs ends with 2 on one line that says what to install
  status=0; "$@" > /dev/null 2> missing.txt || status=$?
  cat missing.txt
  { [ $status = 2 ] && [ "$(wc -l < missing.txt)" = 1 ] && grep -q "pip install 'hswarm\[" missing.txt; } || exit 1
}
missing fresh/bin/hswarm search micro.toml
missing fresh/bin/hswarm serve demo/run --port 0
missing fresh/bin/hswarm sweep toy.toml --over search.patience=[1,2] --trials 2
missing fresh/bin/hswarm tasks check smollm2.toml
pip=(fresh/bin/pip install --quiet --constraint "$OLDPWD/constraints.txt")
"${pip[@]}" "$(echo "$dist"/*.whl)[cpu]"
fresh/bin/hswarm search micro.toml --set budget.calls=500 --run micro-run > micro.txt 2> micro.log || { cat micro.log; exit 1; }
tail -1 micro.txt
"${pip[@]}" --dry-run "$(echo "$dist"/*.whl)[all]"
echo "the wheel works alone, and with its extras"
