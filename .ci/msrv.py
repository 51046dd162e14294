"""Reads `cargo metadata` and checks what can be checked of a package's `rust-version` without that compiler.

The only argument is the name of the package.
"""

import json
import pathlib
import re
import sys


def version(text):
    parts = [int(part) for part in text.split("-")[0].split(".")]
    return tuple(parts + [0] * (3 - len(parts)))


metadata = json.load(sys.stdin)
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
library = next(package for package in metadata["packages"] if package["name"] == sys.argv[1])
promised = version(library["rust_version"])
errors = []


def built_by_users(kind):
    return kind["kind"] in (None, "build") and kind["target"] != "cfg(loom)"


seen, queue = set(), [library["id"]]
while queue:
    node = queue.pop()
    if node not in seen:
        seen.add(node)
        queue += [dep["pkg"] for dep in nodes[node]["deps"] if any(map(built_by_users, dep["dep_kinds"]))]

silent = 0
for package in map(packages.get, seen):
    needed = package["rust_version"]
    if needed is None:
        silent += 1
    elif version(needed) > promised:
        errors.append(f"{package['name']} {package['version']} needs Rust {needed}")

# Let chains are stable since 1.88, in the edition that 1.85 has too; clippy's `incompatible_msrv` does not see syntax.
LET_CHAINS = (1, 88, 0)
CHAIN = re.compile(r"&&\s*let\b|\b(?:if|while)\s+let\b[^{;]*&&")
for path in sorted(pathlib.Path(library["manifest_path"]).parent.glob("src/**/*.rs")):
    if promised >= LET_CHAINS:
        break
    code = re.sub(r"//.*", "", path.read_text())
    errors += [f"{path.name}: a let chain: `{found.group().strip()}`" for found in CHAIN.finditer(code)]

for error in errors:
    print(f"error: {error}, promised is {library['rust_version']}", file=sys.stderr)
if errors:
    sys.exit(1)
print(f"{library['name']}, Rust {library['rust_version']}: enough for {len(seen) - silent} of {len(seen)} crates, {silent} do not say")
