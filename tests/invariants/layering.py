"""Who may include whom: core stands alone; sim and real know core; they meet only in experiments/compose."""

import pathlib
import re
import sys

# A standard header has neither folder nor extension.
STANDARD = r"[a-z_]+"
ALLOWED = {
    "core": rf"core/.*|{STANDARD}|boost/.*|fmt/.*|Random123/.*",
    "sim": rf"(core|sim)/.*|{STANDARD}|boost/.*|fmt/.*|Random123/.*",
    "real": r"(?!sim/|experiments/|toml|nlohmann/|CLI/).*",
}
# The only files of the program that may see both worlds.
COMPOSE = re.compile(r"experiments/compose\.(hpp|cpp)")
# Libraries never print, exit or abort, and never ask which backend runs them.
WORDS = {
    r"<iostream>|std::cout|std::cerr|\bprintf\(|fmt::print\(": "prints",
    r"\b(std::)?(exit|abort|quick_exit|terminate)\(": "ends the process",
    r"#\s*if.*LOCKSTEP_(CUDA|MPI)|is_simulated": "asks which backend it runs on",
}


def faults_in(name, text):
    top = name.split("/")[0]
    includes = re.findall(r'^\s*#\s*include\s*[<"]([^">]+)[">]', text, re.M)
    found = [f"{name} includes {i}" for i in includes if top in ALLOWED and not re.fullmatch(ALLOWED[top], i)]
    if top == "experiments" and not COMPOSE.fullmatch(name) and {"sim", "real"} <= {i.split("/")[0] for i in includes}:
        found.append(f"{name} includes both sim and real")
    if top in ("core", "sim"):
        code = re.sub(r"//.*", "", text)
        found += [f"{name} {what}" for word, what in WORDS.items() if re.search(word, code)]
    return found


def self_test():
    wrong = {
        "core/a.hpp": ['#include "sim/x.hpp"', "#include <mpi.h>", "#include <toml++/toml.h>", "#include <nlohmann/json.hpp>",
                       '#include "experiments/x.hpp"', "#include <cuda_runtime.h>", "#include <CLI/CLI.hpp>",
                       "#include <iostream>", "std::abort();", "#ifdef LOCKSTEP_CUDA", "if (is_simulated())"],
        "sim/a.cpp": ['#include "real/x.hpp"', '#include "experiments/x.hpp"', "  #  include <nccl.h>", "exit(3);"],
        "real/a.cpp": ['#include "sim/x.hpp"', '#include "experiments/x.hpp"', "#include <toml.hpp>"],
        "experiments/cli/a.cpp": ['#include "sim/a.hpp"\n#include "real/b.hpp"'],
    }
    right = {
        "core/a.hpp": ["#include <vector>", '#include "core/x.hpp"', "#include <boost/math/special_functions.hpp>", "// exit(3)"],
        "sim/a.cpp": ['#include "core/x.hpp"', '#include "sim/x.hpp"'],
        "real/a.cpp": ["#include <mpi.h>", '#include "core/x.hpp"'],
        "experiments/compose.cpp": ['#include "sim/a.hpp"\n#include "real/b.hpp"'],
    }
    missed = [f"{n}: {t}" for n, texts in wrong.items() for t in texts if not faults_in(n, t)]
    missed += [f"{n}: {t} was refused" for n, texts in right.items() for t in texts if faults_in(n, t)]
    return missed


def check(root):
    files = [p for top in ("core", "sim", "real", "experiments") for p in (root / top).rglob("*") if p.suffix in (".hpp", ".cpp", ".cu", ".cuh")]
    faults = [f for p in sorted(files) for f in faults_in(str(p.relative_to(root)), p.read_text())]
    if len(files) < 50:
        faults.append(f"only {len(files)} files found: the wrong folder?")
    return faults


faults = self_test() if sys.argv[1] == "--self-test" else check(pathlib.Path(sys.argv[1]))
print("\n".join(faults) or "the layers hold")
sys.exit(1 if faults else 0)
