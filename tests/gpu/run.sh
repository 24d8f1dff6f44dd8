#!/usr/bin/env bash
# Everything that needs a GPU, in one call under 8 minutes: tests, sanitizer, resume, throughput against PyTorch, a profile. Prints a table.
#   tests/gpu/run.sh BUNDLE [RESULTS]
# BUNDLE: what `cmake --workflow`'s preset gpu-bundle made (build-gpu-bundle/bundle), or any folder with lockstep and gpu_tests. RESULTS: a folder for logs.
set -uo pipefail
bundle=$(cd "${1:?expected the folder of the bundle}" && pwd)
results=${2:-gpu-results}
mkdir -p "$results" && results=$(cd "$results" && pwd)
cd "$(dirname "$0")/../.."
export LOCKSTEP_DATA=$PWD/data

# cuDNN and NCCL may come with Python packages only.
libraries=$(python3 - <<'P' 2>/dev/null
import glob, os, site, sys
roots = [p for p in sys.path + site.getsitepackages() if p]
print(":".join(sorted({os.path.dirname(f) for r in roots for f in glob.glob(os.path.join(r, "nvidia", "*", "lib", "*.so*")) +
                       glob.glob(os.path.join(r, "nvidia", "*", "*", "lib", "*.so*"))})))
P
)
export LD_LIBRARY_PATH=${libraries}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
missing=$(ldd "$bundle/lockstep" | grep "not found")
[ -z "$missing" ] || { echo "libraries that this machine lacks:"; echo "$missing"; exit 3; }

rows=()
row() { rows+=("$(printf '%-52s %s' "$1" "$2")"); echo "== $1: $2"; }
step() {  # NAME LIMIT COMMAND...: its last line and whether it ended well
  local name=$1 limit=$2 begin=$SECONDS; shift 2
  if timeout "$limit" "$@" >"$results/$name.log" 2>&1; then row "$name" "passed in $((SECONDS - begin)) s"
  else row "$name" "FAILED ($?), see $results/$name.log"; tail -n 15 "$results/$name.log"; fi
}
rate() {  # NAME FILE: images_per_s of a JSON file
  local found; found=$(value "$2" '["images_per_s"]')
  [ "$found" = 0 ] && row "$1" "FAILED, see ${2%.json}.log" || row "$1" "$found"
}
value() { python3 -c "import json,sys; print(json.load(open(sys.argv[1]))$2)" "$1" 2>/dev/null || echo 0; }

nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader | tee "$results/gpu.txt"

step gpu_tests 150 "$bundle/gpu_tests"
if command -v compute-sanitizer >/dev/null; then
  step memcheck 60 compute-sanitizer --error-exitcode 9 "$bundle/gpu_tests" --gtest_filter='*Layers*Fp16*:ImagesGpu*'
  step racecheck 60 compute-sanitizer --tool racecheck --error-exitcode 9 "$bundle/gpu_tests" --gtest_filter='*Layers*Norm*Fp16*:ImagesGpu*'
else
  row "memcheck, racecheck" "SKIPPED: no compute-sanitizer"
fi

# Interrupted and resumed against whole: equal weights in deterministic mode.
small=(experiments/imagenet_resnet50/run.toml --set training.device=cuda --set data.kind=synthetic --set data.training_images=2048 --set data.validation_images=256
       --set model.name=resnet20 --set model.image_size=32 --set model.classes=10 --set training.global_batch=128 --set schedule.warmup=none --set schedule.decay=constant)
resume() {
  "$bundle/lockstep" train "${small[@]}" --set training.epochs=4 --output "$results/whole" --force &&
  "$bundle/lockstep" train "${small[@]}" --set training.epochs=2 --output "$results/parts" --force &&
  "$bundle/lockstep" train "${small[@]}" --set training.epochs=4 --output "$results/parts" --resume &&
  python3 - "$results" <<'P'
import pathlib, sys
a, b = (sorted(pathlib.Path(sys.argv[1], d, "checkpoints").glob("step-64.ckpt")) for d in ("whole", "parts"))
assert a and b and a[0].read_bytes() == b[0].read_bytes(), "checkpoints differ"
P
}
begin=$SECONDS
if resume >"$results/resume.log" 2>&1; then row resume "equal bits ($((SECONDS - begin)) s)"; else row resume "FAILED, see $results/resume.log"; tail -n 8 "$results/resume.log"; fi

# ResNet-50 on JPEG files, decoded by the host and by nvJPEG. LOCKSTEP_JPEG_FOLDER: train/ and val/ of ImageNet's
# form with at least 4096 and 256 images; without it Pillow writes files of noise and gradients.
folder=${LOCKSTEP_JPEG_FOLDER:-$results/jpeg}
[ -d "$folder/train" ] || python3 - "$folder" <<'P' >"$results/jpeg_files.log" 2>&1
import pathlib, random, sys
from PIL import Image
random.seed(1)
for split, count in (("train", 4096), ("val", 256)):
    for i in range(count):
        folder = pathlib.Path(sys.argv[1], split, f"class{i % 8}")
        folder.mkdir(parents=True, exist_ok=True)
        if i < 256:  # the others are copies: what counts is their size and number
            small = Image.frombytes("RGB", (50, 38), random.randbytes(50 * 38 * 3))
            small.resize((500, 375), Image.BICUBIC).save(folder / f"{i}.jpg", quality=90)
        else:
            (folder / f"{i}.jpg").write_bytes(pathlib.Path(sys.argv[1], split, f"class{i % 8}", f"{i % 256}.jpg").read_bytes())
P
for jpeg in host device; do
  timeout 90 "$bundle/lockstep" train experiments/imagenet_resnet50/run.toml --set training.device=cuda --set data.kind=imagenet_folder --set data.path="$folder" \
    --set data.training_images=4096 --set data.validation_images=256 --set training.epochs=2 --set training.global_batch=256 --set training.precision=bf16 \
    --set data.threads=14 --set real.jpeg=$jpeg --set schedule.warmup=none --output "$results/jpeg_$jpeg" --force --json \
    >"$results/jpeg_$jpeg.json" 2>"$results/jpeg_$jpeg.log"
  if [ "$jpeg" = device ] && grep -q "built without nvJPEG" "$results/jpeg_$jpeg.log"; then row "JPEG by nvJPEG" "SKIPPED: built without nvJPEG"
  else rate "ResNet-50 bf16, JPEG by $jpeg, images/s" "$results/jpeg_$jpeg.json"; fi
done

# ResNet-50, 224 x 224, synthetic images, batch 256.
for precision in bf16 fp16; do
  "$bundle/lockstep" train experiments/imagenet_resnet50/run.toml --set training.device=cuda --set data.kind=synthetic --set data.training_images=25600 \
    --set data.validation_images=0 --set training.epochs=1 --set training.precision=$precision --set data.threads=14 --set real.deterministic=false \
    --set schedule.warmup=none --output "$results/resnet50_$precision" --force --json >"$results/resnet50_$precision.json" 2>"$results/resnet50_$precision.log"
  rate "ResNet-50 $precision, batch 256, images/s" "$results/resnet50_$precision.json"
done
timeout 150 python3 tests/gpu/pytorch_resnet50.py >"$results/pytorch.json" 2>"$results/pytorch.log"
rate "PyTorch bf16, channels last, compiled, images/s" "$results/pytorch.json"

# Times per layer, for data/gpus.
"$bundle/lockstep" calibrate experiments/imagenet_resnet50/run.toml --set training.device=cuda --set data.kind=synthetic --set training.precision=bf16 \
  --set data.threads=14 --output "$results/calibrated" --force --steps 10 >"$results/calibrate.log" 2>&1 && row "profile" "$results/calibrated/profile.csv" || row "profile" "FAILED"

printf '\n%s, %s\n' "$(cat "$results/gpu.txt")" "$(date -u +%F)"
printf '%s\n' "${rows[@]}" | tee "$results/table.txt"
! grep -q FAILED "$results/table.txt"
