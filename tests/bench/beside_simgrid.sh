#!/bin/sh
# Ours and SimGrid's on the same work in one run, about six minutes on an idle machine: tests/bench/beside_simgrid.sh build/bench data
# Rows below each other belong together; the ratio is that of the "cpu s" column.
set -e
bench=$1 data=$2
for work in "ring, 2,048 ranks, flat:star" "fat tree:tree" "ResNet-50:iteration"; do
  ours=$("$bench/engine_bench" "$data" "${work%%:*}" | tail -n 1)
  peer=$("$bench/simgrid_bench" "${work##*:}" 2>/dev/null)
  echo "$ours"
  echo "$peer"
  echo "$ours
$peer" | awk -F'|' '{ cpu[NR] = $4; ms[NR] = $9 } END { printf "  SimGrid / ours: %.0f times the cpu, %.6f times the simulated time\n", cpu[2] / cpu[1], ms[2] / ms[1] }'
done
