"""Compiles the GPU backend against CUDA 12, cuDNN 8.9, NCCL 2.18 and nvJPEG 12, the libraries of a V100.

Usage: cuda12_test.py SOURCE_DIR [--cache DIR] [--jobs N]

Headers and ptxas are those of Python packages (1.3 GB of downloads, for pip has no part of a package): kept in DIR, else
fetched into a temporary directory. Because of the size that happens only with LOCKSTEP_LARGE_DOWNLOADS=1 in the
environment. Every .cpp of real/cuda is checked by the host compiler ($CXX, else c++); every .cu is compiled by clang++ as
its CUDA front end, where there is one: the device's side for sm_70 down to machine code, the host's side for syntax.
Prints a table; exits with 1 and the compiler's words if one fails, with 77 and the reason if the headers cannot be had.
"""

import argparse
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

SKIPPED = 77
PACKAGES = {
    "nvidia-cuda-runtime-cu12": "12.4.127",
    "nvidia-cuda-nvcc-cu12": "12.4.131",
    "nvidia-cublas-cu12": "12.4.5.8",
    "nvidia-cudnn-cu12": "8.9.7.29",
    "nvidia-nccl-cu12": "2.18.3",
    "nvidia-nvjpeg-cu12": "12.3.1.117",
    "nvidia-nvtx-cu12": "12.4.127",
}
ARCHITECTURE = "sm_70"
FOLDERS = ["base", "comm", "device", "jpeg", "kernels", "network"]


class Unavailable(Exception):
    pass


def wanted(name):
    return "/include/" in name or name.endswith(("bin/ptxas", "libdevice.10.bc"))


def fetch(root):
    """Headers, ptxas and libdevice of all packages below root/nvidia."""
    if (root / "complete").exists():
        return
    if os.environ.get("LOCKSTEP_LARGE_DOWNLOADS") != "1":
        raise Unavailable("1.3 GB of packages would be fetched; set LOCKSTEP_LARGE_DOWNLOADS=1 for that")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    for package, version in PACKAGES.items():
        with tempfile.TemporaryDirectory(prefix="lockstep-wheel-") as wheels:
            asked = f"{package}=={version}"
            done = subprocess.run([*pip, "--dest", wheels, asked], capture_output=True, text=True)
            if done.returncode != 0:
                lines = done.stderr.strip().splitlines() or ["pip failed"]
                raise Unavailable(f"{asked} cannot be fetched: {lines[-1]}")
            for wheel in pathlib.Path(wheels).glob("*.whl"):
                with zipfile.ZipFile(wheel) as archive:
                    archive.extractall(root, [n for n in archive.namelist() if wanted(n)])
    (root / "complete").touch()


def lay_out(root, toolkit):
    """A folder like that of a CUDA toolkit, of links, for clang++."""
    (toolkit / "include").mkdir(parents=True)
    (toolkit / "bin").mkdir()
    (toolkit / "lib64").mkdir()  # clang++ takes no toolkit without it
    (toolkit / "nvvm" / "libdevice").mkdir(parents=True)
    nvidia = root / "nvidia"
    for headers in nvidia.glob("*/include"):
        shutil.copytree(headers, toolkit / "include", dirs_exist_ok=True)
    shutil.copy(nvidia / "cuda_nvcc" / "bin" / "ptxas", toolkit / "bin")
    (toolkit / "bin" / "ptxas").chmod(0o755)
    shutil.copy(nvidia / "cuda_nvcc" / "nvvm" / "libdevice" / "libdevice.10.bc", toolkit / "nvvm" / "libdevice")


def host_check(toolkit, source_dir, path):
    compiler = os.environ.get("CXX", "c++")
    flags = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", f"-I{source_dir}"]
    return [[compiler, *flags, "-isystem", str(toolkit / "include"), str(path)]]


def device_check(toolkit, source_dir, path, out):
    # clang up to 15 declares texture references, which CUDA 12 has no more: its own include guard leaves them out.
    common = ["clang++", "-x", "cuda", f"--cuda-path={toolkit}", f"--cuda-gpu-arch={ARCHITECTURE}", "-std=c++20", "-O2"]
    common += ["-Wno-unknown-cuda-version", "-D__CLANG_CUDA_TEXTURE_INTRINSICS_H__", f"-I{source_dir}", str(path)]
    return [
        [*common, "--cuda-device-only", "-c", "-o", str(out / f"{path.stem}.cubin")],
        [*common, "--cuda-host-only", "-fsyntax-only"],
    ]


def run(commands):
    """What the first failing command says, or nothing."""
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            return " ".join(command) + "\n" + (done.stderr or "failed without a word")
    return ""


def main(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("source_dir", type=pathlib.Path)
    parser.add_argument("--cache", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(arguments)
    source_dir = given.source_dir.resolve()
    with tempfile.TemporaryDirectory(prefix="lockstep-cuda12-") as temporary:
        scratch = pathlib.Path(temporary)
        root = given.cache or scratch / "packages"
        root.mkdir(parents=True, exist_ok=True)
        try:
            fetch(root)
        except Unavailable as e:
            print(f"SKIPPED: {e}")
            return SKIPPED
        toolkit = scratch / "toolkit"
        lay_out(root, toolkit)
        work = {}
        for folder in FOLDERS:
            for path in sorted((source_dir / "real" / "cuda" / folder).glob("*.cpp")):
                work[path] = host_check(toolkit, source_dir, path)
            if shutil.which("clang++"):
                for path in sorted((source_dir / "real" / "cuda" / folder).glob("*.cu")):
                    work[path] = device_check(toolkit, source_dir, path, scratch)
        if not shutil.which("clang++"):
            print("clang++ not found: .cu files are not compiled")
        failures = 0
        with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
            for path, words in zip(work, pool.map(run, work.values())):
                print(f"{str(path.relative_to(source_dir)):52} {'FAILED' if words else 'compiles'}")
                if words:
                    failures += 1
                    print(words)
        print(f"{failures} failures" if failures else f"all {len(work)} files compile")
        return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
