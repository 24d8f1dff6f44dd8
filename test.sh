#!/usr/bin/env bash
# Installs what is missing (Debian packages of .ci/packages.run and .ci/packages.test), builds everything, passes every test.
#   ./test.sh             build and all tests
#   ./test.sh --fast      only the tests labelled fast
#   ./test.sh --all       also sanitizers, fuzzers, Clang, clang-tidy, GPU code for every architecture, benchmarks (long; installs .ci/packages.ci too)
# LOCKSTEP_WERROR=ON makes warnings errors, as CI does.
set -euo pipefail
cd "$(dirname "$0")"
. .ci/setup.sh
MODE=${1:-}
case "$MODE" in ""|--fast|--all) ;; *) die "unknown option $MODE; expected nothing, --fast or --all" ;; esac

say "packages"
LISTS=(.ci/packages.run .ci/packages.test)
[ "$MODE" != --all ] || LISTS+=(.ci/packages.ci)
install_missing "${LISTS[@]}"
say "build"
cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DLOCKSTEP_TESTS=ON -DLOCKSTEP_WERROR="${LOCKSTEP_WERROR:-OFF}"
cmake --build build --parallel "$(nproc)"
if [ "$MODE" = --all ]; then
  say "clang"
  bash .ci/clang_check
  say "sanitizers"
  bash .ci/sanitizers
  say "fuzzers"
  bash .ci/fuzz
  say "clang-tidy"
  bash .ci/tidy --all
  say "GPU code"
  bash .ci/gpu_build --all
  say "benchmarks"
  cmake -S . -B build-bench -G Ninja -DLOCKSTEP_BENCH=ON -DLOCKSTEP_TESTS=ON >/dev/null
  cmake --build build-bench --target network_bench
  build-bench/bench/network_bench
fi
say "tests"
ONLY=()
[ "$MODE" != --fast ] || ONLY=(-L fast)
STATUS=0
ctest --test-dir build --output-on-failure --no-tests=error -j "$(nproc)" "${ONLY[@]}" \
  --output-junit tests.xml --test-output-size-passed 100000000 --test-output-size-failed 100000000 || STATUS=$?
.ci/count_cases build/tests.xml
exit $STATUS
