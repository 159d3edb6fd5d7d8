"""whit build --target android --aar: an Android archive in a folder that Gradle takes for a Maven repository."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import io
import json
import os
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from . import __version__, _build, _targets
from ._select import runtime
from ._table import Report
from ._targets import ToolError
from .model import Model, load

GROUP, ARTIFACT, MIN_SDK = "dev.whit", "whit", 21
ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64", "x86")
PAGE = 16384
LICENCE = "https://opensource.org/licenses/MIT"


def home() -> Path:
    """The folder android/, of the tree or inside the wheel: beside runtime_c/."""
    found = runtime().parent / "android"
    if not (found / "jni/whit_jni.c").exists():
        raise ToolError("this installation of whit has no sources for Android")
    return found


# ---- Java -------------------------------------------------------------------------------------------


def jdk() -> Path:
    """The Java development kit: JAVA_HOME, or what javac belongs to."""
    given = os.environ.get("JAVA_HOME")
    javac = shutil.which("javac")
    places = [Path(given)] if given else []
    if javac:
        places.append(Path(javac).resolve().parents[1])
    for place in places:
        if (place / "bin/javac").exists() and (place / "include/jni.h").exists():
            return place
    raise ToolError(
        "an Android archive is made with a Java development kit: apt install openjdk-17-jdk-headless"
    )


def java_sources() -> list[Path]:
    return sorted((home() / "src/main/java").rglob("*.java"))


def compile_java(
    sources: Sequence[Path], to: Path, class_path: Iterable[Path] = (), *, stubs: bool = True
) -> None:
    """Compiles for Java 8, warnings are errors. stubs: Android's classes, as far as ours call them; they do not go into `to`."""
    options = ["--release", "8", "-encoding", "UTF-8", "-Xlint:all,-options,-serial,-processing", "-Werror", "-g:source,lines"]  # fmt: skip
    paths = os.pathsep.join(map(str, class_path))
    if paths:
        options += ["-classpath", paths]
    if stubs:
        options += ["-implicit:none", "-sourcepath", str(home() / "stubs")]
    to.mkdir(parents=True, exist_ok=True)
    _targets.run([jdk() / "bin/javac", *options, "-d", to, *sources])


def _javadoc(to: Path) -> None:
    _targets.run([
        jdk() / "bin/javadoc", "-quiet", "-notimestamp", "-Xdoclint:all,-missing", "-Xdoclint/package:-android.*", "--release", "8", "-encoding",
        "UTF-8", "-windowtitle", f"Whit {__version__}", "-sourcepath", home() / "stubs", "-d", to, *java_sources(),
    ])  # fmt: skip


# ---- the library ------------------------------------------------------------------------------------


def library(models: Sequence[Model], abi: str, profile: str, output: Path) -> Path:
    """libwhit.so for an ABI: the runtime with what the models need (none: everything), and the native half of dev.whit. In profile size
    one for some models has no sentences that explain an error: its node and the name of its status."""
    target = _targets.target(f"android-{abi}")
    # Before Android 6 there is no GNU hash.
    ldflags = (*target.ldflags, "-Wl,--hash-style=both")
    # Functions that Java calls align their stack themselves; no other needs to.
    cflags = tuple(f for f in target.cflags if f != "-mstackrealign")
    target = dataclasses.replace(target, cflags=cflags, ldflags=ldflags)
    jni, java = home() / "jni", jdk() / "include"
    texts = not models or profile != "size"
    with _build.source(models, target, profile, texts=int(texts), avx512=0) as s:
        includes = [
            s.path.parent,
            jni / "libc",
            runtime() / "platform",
            java,
            java / "linux",
        ]
        flags = ["-DWHIT_API=", *(f"-I{i}" for i in includes)]
        s.compile([output], "clang", source=jni / "whit_jni.c", flags=flags)
    return output


# ---- archives ---------------------------------------------------------------------------------------


def _archive(files: dict[str, bytes], stored: Iterable[str] = ()) -> bytes:
    """A zip of these files, the same bytes each time. stored: names that are not compressed, and .so files are not either: they begin
    at a multiple of 16 KiB."""
    out = io.BytesIO()
    plain = set(stored)
    with zipfile.ZipFile(out, "w") as z:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            info.create_system = 3
            aligned = name.endswith(".so")
            info.compress_type = (
                zipfile.ZIP_STORED if aligned or name in plain else zipfile.ZIP_DEFLATED
            )
            if aligned:  # the extra field that zipalign uses
                at = out.tell() + 30 + len(name.encode()) + 6
                pad = -at % PAGE
                info.extra = struct.pack("<HHH", 0xD935, 2 + pad, PAGE) + bytes(pad)
            z.writestr(info, content, compresslevel=9)
    return out.getvalue()


def _folder(path: Path, manifest: bool = False) -> dict[str, bytes]:
    head = {"META-INF/MANIFEST.MF": b"Manifest-Version: 1.0\r\n\r\n"} if manifest else {}
    files = sorted(f for f in path.rglob("*") if f.is_file())
    return head | {f.relative_to(path).as_posix(): f.read_bytes() for f in files}


def classes_jar() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        compile_java(java_sources(), Path(folder))
        return _archive(_folder(Path(folder), manifest=True))


def manifest() -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="dev.whit">\n'
        f'    <uses-sdk android:minSdkVersion="{MIN_SDK}" />\n</manifest>\n'
    )


def aar(libraries: dict[str, Path], classes: bytes) -> bytes:
    files = {
        "AndroidManifest.xml": manifest().encode(),
        "classes.jar": classes,
        "R.txt": b"",
        "proguard.txt": (home() / "proguard.txt").read_bytes(),
        "META-INF/com/android/build/gradle/aar-metadata.properties": _AAR_METADATA,
    }
    files |= {f"jni/{abi}/libwhit.so": path.read_bytes() for abi, path in libraries.items()}
    return _archive(files, ["classes.jar"])


_AAR_METADATA = (
    b"aarFormatVersion=1.0\naarMetadataVersion=1.0\nminCompileSdk=1\nminCompileSdkExtension=0\n"
    b"minAndroidGradlePluginVersion=1.0.0\ncoreLibraryDesugaringEnabled=false\n"
)

# ---- the repository ---------------------------------------------------------------------------------


def pom(artifact: str, version: str, packaging: str, dependencies: Sequence[tuple[str, str, str]] = ()) -> str:  # fmt: skip
    needs = "".join(
        f"    <dependency>\n      <groupId>{g}</groupId>\n      <artifactId>{a}</artifactId>\n      <version>{v}</version>\n"
        "      <scope>compile</scope>\n    </dependency>\n"
        for g, a, v in dependencies
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<project xmlns="http://maven.apache.org/POM/4.0.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:schemaLocation="http://maven.apache.org/POM/4.0.0 http://maven.apache.org/xsd/maven-4.0.0.xsd">\n'
        "  <!-- do_not_remove: published-with-gradle-metadata -->\n"
        f"  <modelVersion>4.0.0</modelVersion>\n  <groupId>{GROUP}</groupId>\n  <artifactId>{artifact}</artifactId>\n"
        f"  <version>{version}</version>\n  <packaging>{packaging}</packaging>\n  <name>{artifact}</name>\n"
        "  <description>A tiny runtime for trained models</description>\n"
        f"  <licenses>\n    <license>\n      <name>MIT</name>\n      <url>{LICENCE}</url>\n    </license>\n  </licenses>\n"
        + (f"  <dependencies>\n{needs}  </dependencies>\n" if needs else "")
        + "</project>\n"
    )


def _file_entry(name: str, content: bytes) -> dict[str, Any]:
    sums = {h: hashlib.new(h, content).hexdigest() for h in ("sha512", "sha256", "sha1", "md5")}
    return {"name": name, "url": name, "size": len(content), **sums}


def gradle_module(
    artifact: str, version: str, main: tuple[str, bytes], extra: dict[str, tuple[str, bytes]], dependencies: Sequence[tuple[str, str, str]] = (),
) -> str:  # fmt: skip
    """Gradle module metadata: what is compiled against, what runs, sources and documentation."""
    needs = [{"group": g, "module": a, "version": {"requires": v}} for g, a, v in dependencies]
    library = {"org.gradle.category": "library", "org.gradle.dependency.bundling": "external"}
    kind = "aar" if main[0].endswith(".aar") else "jar"
    code = {**library, "org.gradle.libraryelements": kind}
    if kind == "aar":
        code["org.jetbrains.kotlin.platform.type"] = "androidJvm"

    def variant(name: str, usage: str) -> dict[str, Any]:
        found: dict[str, Any] = {
            "name": name,
            "attributes": {**code, "org.gradle.usage": usage},
            "files": [_file_entry(*main)],
        }
        return {**found, "dependencies": needs} if needs else found

    def documentation(name: str, docs: str, file: tuple[str, bytes]) -> dict[str, Any]:
        attributes = {
            **library, "org.gradle.category": "documentation", "org.gradle.docstype": docs, "org.gradle.usage": "java-runtime",
        }  # fmt: skip
        return {"name": name, "attributes": attributes, "files": [_file_entry(*file)]}

    variants = [
        variant("releaseApiElements", "java-api"),
        variant("releaseRuntimeElements", "java-runtime"),
    ]
    for docs, file in extra.items():
        variants.append(documentation(f"release{docs.capitalize()}Elements", docs, file))
    component = {
        "group": GROUP, "module": artifact, "version": version, "attributes": {"org.gradle.status": "release"},
    }  # fmt: skip
    return json.dumps({"formatVersion": "1.1", "component": component, "createdBy": {"whit": {"version": __version__}}, "variants": variants}, indent=2) + "\n"  # fmt: skip


def _write(path: Path, content: bytes) -> None:
    """A file and its checksums, as Maven wants them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    for h in ("md5", "sha1", "sha256", "sha512"):
        path.with_name(f"{path.name}.{h}").write_text(hashlib.new(h, content).hexdigest())


def publish(
    repository: Path, artifact: str, version: str, main: bytes, kind: str, extra: dict[str, bytes], dependencies: Sequence[tuple[str, str, str]] = (),
) -> Path:  # fmt: skip
    """Writes an artifact into a Maven repository; its folder."""
    folder = repository / GROUP.replace(".", "/") / artifact
    base = f"{artifact}-{version}"
    named = {c: (f"{base}-{c}.jar", content) for c, content in extra.items()}
    file = (f"{base}.{kind}", main)
    module = gradle_module(artifact, version, file, named, dependencies)
    files = [file, *named.values(), (f"{base}.module", module.encode()),
             (f"{base}.pom", pom(artifact, version, kind, dependencies).encode())]  # fmt: skip
    for name, content in files:
        _write(folder / version / name, content)
    versions = sorted(p.name for p in folder.iterdir() if p.is_dir())
    listed = "".join(f"      <version>{v}</version>\n" for v in versions)
    metadata = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<metadata>\n  <groupId>{GROUP}</groupId>\n  <artifactId>{artifact}</artifactId>\n'
        f"  <versioning>\n    <latest>{version}</latest>\n    <release>{version}</release>\n    <versions>\n{listed}    </versions>\n"
        "  </versioning>\n</metadata>\n"
    )
    _write(folder / "maven-metadata.xml", metadata.encode())
    return folder / version


def build(
    models: Sequence[Model], profile: str, repository: Path, version: str = __version__, abis: Sequence[str] = ABIS
) -> tuple[Path, dict[str, int]]:  # fmt: skip
    """The archive with all that belongs to it; its path, and the bytes of the library of each ABI."""
    classes = classes_jar()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        libraries = {
            abi: library(models, abi, profile, folder / abi / "libwhit.so") for abi in abis
        }
        _javadoc(folder / "javadoc")
        extra = {
            "sources": _archive(_folder(home() / "src/main/java", manifest=True)),
            "javadoc": _archive(_folder(folder / "javadoc", manifest=True)),
        }
        made = publish(repository, ARTIFACT, version, aar(libraries, classes), "aar", extra)
        sizes = {abi: path.stat().st_size for abi, path in libraries.items()}
    return made / f"{ARTIFACT}-{version}.aar", sizes


# ---- the command ------------------------------------------------------------------------------------


def run(args: argparse.Namespace) -> Report:
    """whit build --aar."""
    if args.target != "android" and args.target.removeprefix("android-") not in ABIS:
        raise ToolError(f"--aar goes with --target android, not {args.target}")
    if args.embed:
        raise ToolError("--embed does not go with --aar: put the model among the app's assets")
    abis = ABIS if args.target == "android" else (args.target.removeprefix("android-"),)
    models = [load(path) for path in args.models]
    made, sizes = build(models, args.profile, Path(args.output), abis=abis)
    report = Report({"archive": str(made), "profile": args.profile, "libraries": sizes})
    report.line(f"{made}: {made.stat().st_size:,} bytes, profile {args.profile}")
    report.table(("ABI", "bytes of libwhit.so"), list(sizes.items()))
    report.line(f'\n  maven {{ url = uri("{Path(args.output).resolve()}") }}\n  implementation("{GROUP}:{ARTIFACT}:{__version__}")')  # fmt: skip
    return report
