#!/usr/bin/env bash
# release.sh VERSION [--dry-run]: checks that everything names VERSION, builds, tries the packages alone, and tags.
# It uploads nothing: the last line says how. --dry-run does all but the tag.
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:-}; dry=${2:-}
fail() { echo "release: $1" >&2; exit 2; }
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "expected a version like 0.2.0, got '$version'"
[[ -z $dry || $dry == --dry-run ]] || fail "expected --dry-run or nothing, got '$dry'"
[[ -z $(git status --porcelain) ]] || fail "there are changes that are not committed; commit them"
git rev-parse -q --verify "refs/tags/v$version" > /dev/null && fail "v$version is tagged already; choose another version"
grep -qx "version = \"$version\"" pyproject.toml || fail "pyproject.toml names another version; set it to $version"
grep -qx "__version__ = \"$version\"" src/hswarm/__init__.py || fail "src/hswarm/__init__.py names another version; set it to $version"
grep -qx "version: $version" CITATION.cff || fail "CITATION.cff names another version; set it to $version"
grep -qE "^## $version" CHANGELOG.md || fail "CHANGELOG.md has no '## $version'; rename '## Unreleased' and begin a new one"
rm -rf dist && DIST=$PWD/dist bash scripts/check_wheel.sh
if [[ -n $dry ]]; then echo "v$version can be released: dist/ holds the packages; nothing was tagged"; exit; fi
git tag -a "v$version" -m "hswarm $version"
echo "tagged v$version; now: git push origin v$version && twine upload dist/*"
