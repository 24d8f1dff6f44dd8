"""Compiles every kernel for Pascal, Volta and Hopper with NVRTC 12: CUDA 13 compilers no longer know the first two.

Usage: nvrtc_test.py SOURCE_DIR [CUDA_INCLUDE] [--cache DIR] [--version X.Y.Z]

NVRTC and the headers are those of the Python packages nvidia-cuda-nvrtc-cu12 and nvidia-cuda-runtime-cu12: importable
ones, else what pip puts into DIR (kept) or into a temporary directory. CUDA_INCLUDE replaces the package's headers.
Each real/cuda/kernels/*.cuh is compiled and assembled alone, with all its templates instantiated for every element type
and flag. Prints a table; exits with 1 and the compiler's log if one fails, with 77 and the reason if NVRTC cannot be
had.
"""

import argparse
import ctypes
import importlib.util
import itertools
import pathlib
import re
import subprocess
import sys
import tempfile

SKIPPED = 77
ARCHITECTURES = ["sm_60", "sm_70", "sm_90"]
PACKAGES = ["nvidia-cuda-nvrtc-cu12", "nvidia-cuda-runtime-cu12"]
TYPES = ["float", "__half", "__nv_bfloat16"]
NAMESPACE = "lockstep::cuda::"
KERNEL = re.compile(r"template <([^>]*)>\s*__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(")


class Unavailable(Exception):
    pass


def folders_in(root):
    """Library and headers below a folder `nvidia`, or None."""
    libraries = sorted(root.glob("cuda_nvrtc/lib/libnvrtc.so.12"))
    headers = root / "cuda_runtime" / "include"
    return (libraries[0], headers) if libraries and (headers / "cuda_fp16.h").exists() else None


def find_nvrtc(cache, version):
    spec = None if version else importlib.util.find_spec("nvidia")
    roots = [pathlib.Path(p) for p in (spec.submodule_search_locations or [])] if spec else []
    for root in [*roots, cache / "nvidia"]:
        if found := folders_in(root):
            return found
    wanted = [f"{p}=={version}" if version else p for p in PACKAGES]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "--target", str(cache), *wanted], capture_output=True, text=True)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["pip failed"]
        raise Unavailable(f"{' '.join(wanted)} cannot be installed: {lines[-1]}")
    if found := folders_in(cache / "nvidia"):
        return found
    raise Unavailable(f"libnvrtc.so.12 and cuda_fp16.h are not where {' '.join(wanted)} should have put them")


def instantiations(text):
    """Name expressions of every kernel template in `text`, for every element type and value of a flag."""
    names = []
    for parameters, kernel in KERNEL.findall(text):
        choices = []
        for parameter in parameters.split(","):
            kind = parameter.split()[0]
            choices.append({"class": TYPES, "bool": ["true", "false"], "int": ["1", "8"]}[kind])
        names += [f"{NAMESPACE}{kernel}<{', '.join(c)}>" for c in itertools.product(*choices)]
    return names


class Nvrtc:
    def __init__(self, path):
        try:
            self.library = ctypes.CDLL(str(path))
        except OSError as e:
            raise Unavailable(f"{path} cannot be loaded: {e}") from e
        self.library.nvrtcGetErrorString.restype = ctypes.c_char_p

    def call(self, name, *arguments):
        result = getattr(self.library, name)(*arguments)
        if result != 0:
            raise RuntimeError(f"{name}: {self.library.nvrtcGetErrorString(result).decode()}")

    def version(self):
        major, minor = ctypes.c_int(), ctypes.c_int()
        self.call("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
        return f"{major.value}.{minor.value}"

    def compile(self, source, name, expressions, options):
        """Whether it compiles, the log, and the number of bytes of machine code."""
        program = ctypes.c_void_p()
        self.call("nvrtcCreateProgram", ctypes.byref(program), source.encode(), name.encode(), 0, None, None)
        try:
            for e in expressions:
                self.call("nvrtcAddNameExpression", program, e.encode())
            encoded = (ctypes.c_char_p * len(options))(*[o.encode() for o in options])
            good = self.library.nvrtcCompileProgram(program, len(options), encoded) == 0
            size = ctypes.c_size_t()
            self.call("nvrtcGetProgramLogSize", program, ctypes.byref(size))
            log = ctypes.create_string_buffer(size.value)
            self.call("nvrtcGetProgramLog", program, log)
            code = ctypes.c_size_t()
            if good:
                self.call("nvrtcGetCUBINSize", program, ctypes.byref(code))
                for e in expressions:  # an expression that names no kernel would have been passed over
                    lowered = ctypes.c_char_p()
                    self.call("nvrtcGetLoweredName", program, e.encode(), ctypes.byref(lowered))
            return good, log.value.decode(errors="replace"), code.value
        finally:
            self.library.nvrtcDestroyProgram(ctypes.byref(program))


def check(nvrtc, source_dir, include):
    failures = 0
    print(f"{'file':28} {'architecture':12} {'kernels':>7} {'registers':>9} {'spilled':>7} {'shared':>7} {'code':>9}")
    for path in sorted((source_dir / "real" / "cuda" / "kernels").glob("*.cuh")):
        text = path.read_text()
        expressions = instantiations(text)
        for architecture in ARCHITECTURES:
            options = [f"--gpu-architecture={architecture}", "--std=c++20", "--ptxas-options=-v"]
            options += [f"-I{source_dir}", f"-I{include}"]
            good, log, code = nvrtc.compile(text, path.name, expressions, options)
            registers = max(map(int, re.findall(r"Used (\d+) registers", log)), default=0)
            spilled = max(map(int, re.findall(r"(\d+) bytes spill stores", log)), default=0)
            shared = max(map(int, re.findall(r"(\d+) bytes smem", log)), default=0)
            kernels = len(re.findall(r"Compiling entry function", log))
            problem = "" if good else "  FAILED"
            if good and kernels < len(expressions):
                problem = f"  FAILED: {len(expressions)} kernels wanted"
            columns = f"{path.name:28} {architecture:12} {kernels:7} {registers:9} {spilled:7} {shared:7} {code:9}"
            print(columns + problem)
            if problem:
                failures += 1
                print(log)
    return failures


def main(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("source_dir", type=pathlib.Path)
    parser.add_argument("cuda_include", nargs="?", type=pathlib.Path)
    parser.add_argument("--cache", type=pathlib.Path)
    parser.add_argument("--version")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="lockstep-nvrtc-") as temporary:
        try:
            library, headers = find_nvrtc(given.cache or pathlib.Path(temporary), given.version)
            nvrtc = Nvrtc(library)
        except Unavailable as e:
            print(f"SKIPPED: {e}")
            return SKIPPED
        include = given.cuda_include or headers
        print(f"NVRTC {nvrtc.version()}")
        failures = check(nvrtc, given.source_dir.resolve(), include)
        print(f"{failures} failures" if failures else "all kernels compile")
        return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
