"""core never includes sim, real or experiments, nor CUDA, MPI, TOML, JSON or a command line; sim and real never meet outside compose."""

import pathlib
import re
import sys

FORBIDDEN = {
    "core": r"^(sim|real|experiments)/|cuda|cudnn|nccl|mpi\.h|toml|nlohmann|CLI/|spdlog",
    "sim": r"^(real|experiments)/|cuda|cudnn|nccl|mpi\.h|toml|nlohmann|CLI/",
    "real": r"^(sim|experiments)/|toml|nlohmann|CLI/",
}
# The only files of the program that may see both worlds.
COMPOSE = re.compile(r"^experiments/compose\.(hpp|cpp)$")


def faults_in(name, text):
    top = name.split("/")[0]
    includes = re.findall(r'^\s*#\s*include\s*[<"]([^">]+)[">]', text, re.M)
    found = [f"{name} includes {i}" for i in includes if top in FORBIDDEN and re.search(FORBIDDEN[top], i)]
    if top == "experiments" and not COMPOSE.match(name):
        worlds = {i.split("/")[0] for i in includes} & {"sim", "real"}
        if len(worlds) == 2:
            found.append(f"{name} includes both sim and real")
    if top == "core" and re.search(r"#\s*if.*LOCKSTEP_(CUDA|MPI)|is_simulated", text):
        found.append(f"{name} asks which backend it runs on")
    return found


if sys.argv[1] == "--self-test":
    assert faults_in("core/a.hpp", '#include "sim/x.hpp"')
    assert faults_in("sim/a.cpp", '#include <toml++/toml.h>')
    assert faults_in("experiments/cli/a.cpp", '#include "sim/a.hpp"\n#include "real/b.hpp"')
    assert not faults_in("experiments/compose.cpp", '#include "sim/a.hpp"\n#include "real/b.hpp"')
    assert not faults_in("sim/a.cpp", '#include "core/x.hpp"')
    sys.exit(0)

root = pathlib.Path(sys.argv[1])
files = [p for top in ("core", "sim", "real", "experiments") for p in (root / top).rglob("*") if p.suffix in (".hpp", ".cpp", ".cu", ".cuh")]
faults = [f for p in sorted(files) for f in faults_in(str(p.relative_to(root)), p.read_text())]
print("\n".join(faults) or f"{len(files)} files keep the layers")
sys.exit(1 if faults or len(files) < 50 else 0)
