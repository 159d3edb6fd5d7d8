"""make ios: Whit.xcframework and the Swift package in its two forms, in build/ios.

Whit.xcframework, Whit.xcframework.zip    static frameworks; the zip is what a binaryTarget downloads
whit-swift/                               the package from source: builds anywhere that Swift does, tests included
whit-swift-binary/                        the same over Whit.xcframework: Apple's platforms only, no C is compiled
models/                                   the sample app's models

package.py [--url URL]                    where the zip will be served; without it the package holds Whit.xcframework
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path

import whit
from whit import _build, _targets, _xcframework

IOS = Path(__file__).resolve().parent
ROOT = IOS.parent
MODELS = ("triple", "digits", "dates")
MODULE_MAP = 'module CWhit {\n  header "whit.h"\n  export *\n}\n'
RUNTIME = re.compile(r"(?<=\n)// The C runtime:.*?// end of runtime\n", re.S)


def vectors(to: Path) -> None:
    """The models, inputs and expected bits that the tests of all platforms share."""
    shutil.copytree(
        ROOT / "tests/vectors", to, ignore=shutil.ignore_patterns("*.py", "__pycache__")
    )


def swift_sources(package: Path) -> None:
    """What both forms have in common."""
    for name in ("CWhitAtomics", "Whit", "WhitBench"):
        shutil.copytree(IOS / "Sources" / name, package / "Sources" / name)
    shutil.copytree(IOS / "Sample/Logic", package / "Sources/SampleLogic")
    shutil.copytree(ROOT / "tests/ios/WhitTests", package / "Tests/WhitTests")
    vectors(package / "Tests/WhitTests/Vectors")
    privacy = package / "Sources/Whit/PrivacyInfo.xcprivacy"
    privacy.write_bytes(_xcframework.plist(_xcframework.PRIVACY))
    shutil.copyfile(ROOT / "LICENSE", package / "LICENSE")


def source_package(made: _build.Source, package: Path) -> None:
    swift_sources(package)
    include = package / "Sources/CWhit/include"
    include.mkdir(parents=True)
    shutil.copyfile(made.path, package / "Sources/CWhit/whit.c")
    shutil.copyfile(made.path.with_name("whit.h"), include / "whit.h")
    (include / "module.modulemap").write_text(MODULE_MAP)
    shutil.copyfile(IOS / "Package.swift", package / "Package.swift")


def binary_package(root: Path, checksum: str, url: str, package: Path) -> None:
    swift_sources(package)
    if url:
        runtime = f'let runtime = Target.binaryTarget(\n    name: "CWhit",\n    url: "{url}",\n    checksum: "{checksum}")\n'
    else:
        shutil.copytree(root, package / root.name, symlinks=True)
        runtime = (
            f'let runtime = Target.binaryTarget(name: "CWhit", path: "{root.name}")\n'
            f'// or, once it is served: url: "https://...", checksum: "{checksum}"\n'
        )
    text = f"// The C runtime: compiled already, for Apple's platforms.\n{runtime}"
    manifest, n = RUNTIME.subn(lambda _: text, (IOS / "Package.swift").read_text())
    assert n == 1
    (package / "Package.swift").write_text(manifest)


def main(argv: list[str]) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description="Whit.xcframework and the Swift package")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "build/ios")
    parser.add_argument("--url", default="", help="where Whit.xcframework.zip will be served")
    parser.add_argument(
        "--only", choices=("source", "all"), default="all", help="source: whit-swift alone"
    )
    args = parser.parse_args(argv)
    out: Path = args.output
    for name in ("whit-swift", "whit-swift-binary", "models"):
        shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    (out / "models").mkdir()
    for name in MODELS:
        whit.convert(ROOT / f"examples/models/{name}.onnx", out / f"models/{name}.whit")
    try:
        with _build.source([], _targets.target("ios-arm64"), "balanced") as made:
            source_package(made, out / "whit-swift")
            print(f"{out / 'whit-swift'}: the Swift package, from source")
            if args.only == "source":
                return 0
            root, packed, checksum = _xcframework.build(made, out)
    except whit.WhitError as e:
        print(f"package.py: {e}", file=sys.stderr)
        return 1
    binary_package(root, checksum, args.url, out / "whit-swift-binary")
    print(f"{out / 'whit-swift-binary'}: the Swift package over Whit.xcframework")
    for archive in _xcframework.archives(root):
        print(f"{archive}: {archive.stat().st_size:,} bytes")
    print(f"{packed}: {packed.stat().st_size:,} bytes\nchecksum: {checksum}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
