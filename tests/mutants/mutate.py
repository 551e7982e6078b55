"""Makes the small crates that tests/mutants/run changes, has cargo-mutants change them, and tells what survived."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SURVIVORS = ROOT / "tests/mutants/survivors.txt"

# What each crate is made of, from the ground up (FLOORS in tests/project/architecture.rs), and what it takes from the one below.
CRATES = {
    "token": (["json", "token"], []),
    "lower": (["clock", "config", "filesystem", "json", "keystore", "log_output", "outbound", "owner", "quota", "token"], []),
    "gate": (["gate"], ["clock", "config", "quota", "token"]),
}
CHANGED = ["token", "gate"]

PROFILE = """
[profile.dev]
debug = 0
[profile.dev.package."*"]
opt-level = 1
[profile.dev.package.tollgate-lower]
opt-level = 1
"""


def copy(source: Path, target: Path) -> None:
    """Copies a file if it changed, so that cargo builds no more than it must."""
    if not target.exists() or source.read_bytes() != target.read_bytes():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def write(target: Path, text: str) -> None:
    """The same for a text."""
    if not target.exists() or target.read_text() != text:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def value(spec: object) -> str:
    """A dependency as Cargo.toml has it."""
    if isinstance(spec, dict):
        return "{ " + ", ".join(f"{key} = {value(item)}" for key, item in spec.items()) + " }"
    if isinstance(spec, list):
        return "[" + ", ".join(value(item) for item in spec) + "]"
    return str(spec).lower() if isinstance(spec, bool) else f'"{spec}"'


def make(space: Path, crates: list[str]) -> None:
    """These crates, as the sources are now. Another may be changed at this moment."""
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
    write(space / "Cargo.toml", f'[workspace]\nmembers = {sorted(CRATES)}\nresolver = "3"\n{PROFILE}'.replace("'", '"'))
    if not (space / "Cargo.lock").exists():
        copy(ROOT / "Cargo.lock", space / "Cargo.lock")
    for crate in CRATES if not (space / "gate/src").exists() else crates:
        modules, below = CRATES[crate]
        sources = [path for module in modules for path in sorted((ROOT / "src").glob(f"{module}.rs"))]
        sources += [path for module in modules for path in sorted((ROOT / "src" / module).rglob("*.rs"))]
        for path in sources:
            copy(path, space / crate / path.relative_to(ROOT))
        text = "\n".join(path.read_text() for path in sources)
        named = [name for name in manifest["dependencies"] if re.search(rf"\b{name.replace('-', '_')}(::|;)", text)]
        lines = [f"{name} = {value(manifest['dependencies'][name])}" for name in named]
        lines += ['tollgate-lower = { path = "../lower" }'] if below else []
        write(
            space / crate / "Cargo.toml",
            f'[package]\nname = "tollgate-{crate}"\nversion = "0.0.0"\nedition = "{manifest["package"]["edition"]}"\n'
            "[lib]\ndoctest = false\n[dependencies]\n" + "\n".join(lines) + "\n[dev-dependencies]\n"
            + "\n".join(f"{name} = {value(manifest['dev-dependencies'][name])}" for name in ["tokio"]) + "\n",
        )
        taken = f"pub use tollgate_lower::{{{', '.join(below)}}};\n" if below else ""
        write(space / crate / "src/lib.rs", taken + "".join(f"pub mod {module};\n" for module in modules))


def in_house(line: str) -> str:
    """A mutant as cargo-mutants names it, of the file in the repository."""
    return re.sub(r"^\w+/(src/)", r"\1", line.strip())


def lines_of(path: Path) -> list[str]:
    return [in_house(line) for line in path.read_text().splitlines()] if path.exists() else []


def mutate(space: Path, out: Path, crate: str, options: argparse.Namespace) -> int:
    (out / crate).mkdir(parents=True, exist_ok=True)
    command = ["cargo", "mutants", "--dir", str(space), "--package", f"tollgate-{crate}", "--in-place", "--no-shuffle"]
    command += ["--output", str(out / crate), "--timeout=40", "--build-timeout=600"]
    command += ["--cargo-test-arg=--lib", "--file", f"{crate}/src/{crate}/**"]
    # Text for people, which a test would have to repeat.
    command += ["--exclude-re", "impl (std::)?fmt::(Debug|Display)", "--exclude", "tests.rs"]
    command += [] if options.again else ["--iterate"]
    command += ["--shard", options.shard] if options.shard else []
    for part in options.files:
        command += ["--re", re.escape(f"{crate}/src/{part}" if part.startswith(crate) else part)]
    print("tests/mutants/run:", " ".join(command), file=sys.stderr)
    # One each, so that both can be changed at the same time.
    environment = os.environ | {"CARGO_TARGET_DIR": str(space / f"target-{crate}"), "CMAKE": str(ROOT / ".cargo/cmake")}
    return subprocess.run(command, check=False, stdin=subprocess.DEVNULL, env=environment).returncode


def without_place(mutant: str) -> str:
    """Lines move; what is changed in which function stays."""
    return re.sub(r"^(src/[\w/.]+):\d+:\d+:", r"\1:", mutant)


def explained() -> Counter[str]:
    text = SURVIVORS.read_text() if SURVIVORS.exists() else ""
    return Counter(line.strip() for line in text.splitlines() if line.startswith("src/"))


def report(out: Path) -> int:
    """What is known so far. 1 if a mutant survived without a reason."""
    totals: Counter[str] = Counter()
    survived: list[str] = []
    for crate in CHANGED:
        found = out / crate / "mutants.out"
        for kind, names in {
            # Of an earlier run the two are not told apart.
            "killed, or not to be built": ["caught", "previously_caught", "timeout", "unviable"],
            "survived": ["missed"],
        }.items():
            mutants = {mutant for name in names for mutant in lines_of(found / f"{name}.txt")}
            totals[kind] += len(mutants)
            survived += sorted(mutants) if kind == "survived" else []
    known, unexplained = explained(), []
    for mutant in survived:
        if known[without_place(mutant)] > 0:
            known[without_place(mutant)] -= 1
        else:
            unexplained.append(mutant)
    print(", ".join(f"{kind}: {count}" for kind, count in totals.items()))
    print(f"explained in {SURVIVORS.relative_to(ROOT)}: {len(survived) - len(unexplained)}")
    for mutant in unexplained:
        print(f"survived: {mutant}")
    return 1 if unexplained else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/mutants/run")
    parser.add_argument("work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("files", nargs="*", metavar="FILE", help="only files with this in their paths, as gate/client.rs")
    parser.add_argument("--shard", metavar="K/N", help="the K-th of N parts")
    parser.add_argument("--again", action="store_true", help="with nothing that was found out before")
    parser.add_argument("--report", action="store_true", help="what was found out so far, and nothing else")
    options = parser.parse_args()
    space, out = options.work / "space", options.work / "out"
    if not options.report:
        for crate in CHANGED:
            if options.files and not any(crate in part.split("/")[0] for part in options.files):
                continue
            make(space, [crate, *([] if crate == "token" else ["lower"])])
            code = mutate(space, out, crate, options)
            # 2: some survived; 3: some timed out.
            if code not in (0, 2, 3):
                return code
    return report(out)


if __name__ == "__main__":
    sys.exit(main())
