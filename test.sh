#!/usr/bin/env bash
# Installs what is missing (Debian packages of .ci/packages.run and .ci/packages.test), builds everything, passes every test.
#   ./test.sh             build and all tests
#   ./test.sh --fast      only the tests labelled fast
#   ./test.sh --all       also sanitizers, Clang, benchmarks (long)
set -euo pipefail
cd "$(dirname "$0")"
. .ci/setup.sh
MODE=${1:-}
case "$MODE" in ""|--fast|--all) ;; *) die "unknown option $MODE; expected nothing, --fast or --all" ;; esac

say "packages"
install_missing .ci/packages.run .ci/packages.test
say "build"
cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DLOCKSTEP_TESTS=ON -DLOCKSTEP_WERROR=ON
cmake --build build
if [ "$MODE" = --all ]; then
  say "clang"
  bash .ci/clang_check
  say "sanitizers"
  bash .ci/sanitizers
  say "benchmarks"
  cmake -S . -B build-bench -G Ninja -DLOCKSTEP_BENCH=ON -DLOCKSTEP_TESTS=ON >/dev/null
  cmake --build build-bench --target network_bench
  build-bench/network_bench 2>/dev/null || find build-bench -name network_bench -type f -perm -u+x -exec {} \;
fi
say "tests"
if [ "$MODE" = --fast ]; then ctest --test-dir build --output-on-failure -j2 -L fast; else ctest --test-dir build --output-on-failure -j2; fi
