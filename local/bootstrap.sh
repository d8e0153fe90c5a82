#!/bin/sh
# Makes this checkout ready to run: .venv from the hashed requirements, Azurite from the lock.
# Quick when nothing changed: a stamp in .venv remembers what was installed, for which folder.
#   HOLDFAST_PYTHON=/path/to/python3.13   use this interpreter
set -eu
cd "$(dirname "$0")/.."

venv=.venv
python=$venv/bin/python
stamp=$venv/.holdfast-stamp

# 3.13 exactly, really running (a pyenv shim on PATH may not), able to make an environment.
is_python() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 13))' >/dev/null 2>&1
}

find_python() {
    for candidate in "${HOLDFAST_PYTHON:-}" python3.13 python3 python; do
        [ -n "$candidate" ] && is_python "$candidate" && { echo "$candidate"; return; }
    done
    for root in "${PYENV_ROOT:-}" "$(pyenv root 2>/dev/null || true)" "${HOME:-}/.pyenv"; do
        [ -n "$root" ] || continue
        for candidate in "$root"/versions/3.13*/bin/python3.13; do
            is_python "$candidate" && { echo "$candidate"; return; }
        done
    done
    return 1
}

make_environment() {
    if found=$(find_python); then
        echo "setup: Python is $(command -v "$found" || echo "$found")"
        "$found" -m venv --clear $venv
    elif command -v uv >/dev/null 2>&1; then
        echo "setup: uv provides Python 3.13"
        uv venv --quiet --clear --seed --python 3.13 $venv
    else
        cat >&2 <<'HELP'
setup: no working Python 3.13 with the venv module was found. Any one of these is enough:
  - Debian, Ubuntu:  install the packages python3.13 and python3.13-venv
  - pyenv:           pyenv install 3.13
  - uv:              install uv; it brings its own Python 3.13
  - another place:   make setup HOLDFAST_PYTHON=/path/to/python3.13
HELP
        exit 1
    fi
}

wanted="$(pwd) $(cat requirements.txt requirements-dev.txt local/package-lock.json | cksum)"
have=$(cat $stamp 2>/dev/null || true)
if [ "$have" = "$wanted" ] && [ -d local/node_modules/azurite ] && is_python $python; then
    exit 0
fi

# Two starts at once: the second waits, then finds the work done.
if [ "${1:-}" != locked ] && command -v flock >/dev/null 2>&1; then
    mkdir -p .local
    exec flock .local/setup.lock sh local/bootstrap.sh locked
fi

# Scripts in an environment name their folder: one that was moved is made anew.
moved=no
[ -n "$have" ] && [ "${have% * *}" != "$(pwd)" ] && moved=yes
if [ $moved = yes ] || ! is_python $python; then
    make_environment
fi
rm -f $stamp
echo "setup: installing Python packages (hashes checked)"
$python -m pip install -qq --disable-pip-version-check --no-input \
    --require-hashes --requirement requirements-dev.txt
echo "setup: installing Azurite"
$python -m local.node npm ci --prefix local --ignore-scripts --no-audit --no-fund --loglevel=error
echo "$wanted" > $stamp
echo "setup: done"
