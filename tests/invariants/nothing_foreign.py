"""No file of the project names a package index, a path of one machine, or reads a folder outside the project."""

import pathlib
import re
import subprocess
import sys

# Written in pieces so that this file does not find itself.
WRONG = re.compile("|".join(["--index" + "-url", "py" + r"pi\.org", "python" + "hosted", "deb\\.deb" + "ian", "/wo" + "rk/", "/ro" + "ot/",
                             "/ho" + "me/", r"\.\./sha" + "red"]))


def project_files(root):
    """What git would commit; without git (a source archive), every file outside build and result folders."""
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True, text=True)
    if listed.returncode == 0:
        return [root / name for name in listed.stdout.split("\0") if name]
    own = ("core", "sim", "real", "experiments", "tests", "notebooks", "data", ".ci")
    return [p for p in root.rglob("*") if p.is_file() and (p.parent == root or p.relative_to(root).parts[0] in own)]


def faults_in(name, text):
    return [f"{name}:{n}: {line.strip()}" for n, line in enumerate(text.splitlines(), 1) if WRONG.search(line)]


def check(root):
    faults, read = [], 0
    for path in project_files(root):
        try:
            faults += faults_in(str(path.relative_to(root)), path.read_text())
            read += 1
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue  # a picture, or deleted but not yet committed
    return faults if read > 100 else faults + [f"only {read} files read: the wrong folder?"]


def self_test():
    wrong = ["pip install --index" + "-url x", "see /wo" + "rk/x", "open('../sha" + "red/x')", "/ho" + "me/me"]
    return [f"missed: {w}" for w in wrong if not faults_in("x", w)] + faults_in("x", "a harmless line\nnetwork/links")


faults = self_test() if sys.argv[1] == "--self-test" else check(pathlib.Path(sys.argv[1]))
print("\n".join(faults) or "clean")
sys.exit(1 if faults else 0)
