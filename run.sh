#!/usr/bin/env bash
# Installs what is missing (Debian packages of .ci/packages.run), builds, predicts Fujitsu's ResNet-50 run on 2,048 V100, and trains a small
# ResNet on real images for a minute.
# Safe to run again. Needs root or sudo only where packages are missing; no GPU.
#   ./run.sh              results in results/fujitsu_abci_2048 and results/fashion_mnist
set -euo pipefail
cd "$(dirname "$0")"
. .ci/setup.sh

say "1/6 packages"
timed packages install_missing .ci/packages.run

say "2/6 build (build/lockstep)"
build() {
  # No tests: their libraries are not among the packages of run.sh. `LOCKSTEP_CUDA=AUTO ./run.sh` asks for the GPU backend.
  cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DLOCKSTEP_TESTS=OFF -DLOCKSTEP_CUDA="${LOCKSTEP_CUDA:-OFF}" >build.log 2>&1 &&
    cmake --build build --parallel "$(nproc)" >>build.log 2>&1
}
timed build build || { tail -n 30 build.log >&2; die "the build failed; see build.log"; }
grep -E '(CUDA|CPU|MPI) backend:' build.log | sed 's/^-- //' || true
rm -f build.log

say "3/6 prediction"
OUT=results/fujitsu_abci_2048
timed prediction build/lockstep simulate experiments/fujitsu_abci_2048/run.toml --output "$OUT" --force

say "4/6 plots"
timed plots /usr/bin/python3 notebooks/lockstep_plots/scaling.py "$OUT"
echo "$OUT/scaling.png, $OUT/scaling.svg; $OUT/trace.json opens at ui.perfetto.dev"

say "5/6 training for real: ResNet-20 on Fashion-MNIST, one epoch (the whole run: build/lockstep train experiments/fashion_mnist/run.toml)"
TRAINED=results/fashion_mnist
timed training build/lockstep train experiments/fashion_mnist/run.toml --set training.epochs=1 --output "$TRAINED" --force

say "6/6 plots"
timed plots /usr/bin/python3 notebooks/lockstep_plots/training.py "$TRAINED"
echo "$TRAINED/training.png, $TRAINED/training.svg; $TRAINED/trace.json opens at ui.perfetto.dev"
printf "\ntime taken\n$TIMES"
