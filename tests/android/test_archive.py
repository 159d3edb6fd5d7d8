"""make android: the archive has the form that Gradle expects, the libraries that of Android's, and both are made again byte for byte."""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import java_tools
import pytest

from whit import __version__, _android, _targets

ANDROID = "{http://schemas.android.com/apk/res/android}"
POM = "{http://maven.apache.org/POM/4.0.0}"

pytestmark = [pytest.mark.slow, pytest.mark.native]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    java_tools.need()
    folder = tmp_path_factory.mktemp("maven")
    _android.build([], "size", folder)
    return folder


@pytest.fixture
def folder(repository: Path) -> Path:
    return repository / "dev/whit/whit" / __version__


@pytest.fixture
def aar(folder: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(folder / f"whit-{__version__}.aar")


def test_aar(aar: zipfile.ZipFile) -> None:
    assert set(aar.namelist()) == {
        "AndroidManifest.xml", "classes.jar", "R.txt", "proguard.txt",
        "META-INF/com/android/build/gradle/aar-metadata.properties", *(f"jni/{abi}/libwhit.so" for abi in _android.ABIS),
    }  # fmt: skip
    manifest = ET.fromstring(aar.read("AndroidManifest.xml"))
    assert manifest.tag == "manifest" and manifest.get("package") == "dev.whit"
    (sdk,) = manifest.findall("uses-sdk")
    assert sdk.get(f"{ANDROID}minSdkVersion") == "21"
    metadata = aar.read("META-INF/com/android/build/gradle/aar-metadata.properties").decode()
    assert {"aarFormatVersion=1.0", "aarMetadataVersion=1.0"} <= set(metadata.split())
    for info in aar.infolist():
        if info.filename.endswith(".so"):
            with Path(str(aar.filename)).open("rb") as f:
                f.seek(info.header_offset + 26)
                name, extra = struct.unpack("<HH", f.read(4))
            assert (info.header_offset + 30 + name + extra) % 16384 == 0
            assert info.compress_type == zipfile.ZIP_STORED


def test_classes(aar: zipfile.ZipFile) -> None:
    classes = zipfile.ZipFile(io.BytesIO(aar.read("classes.jar")))
    names = [n for n in classes.namelist() if n.endswith(".class")]
    assert "dev/whit/Model.class" in names and all(n.startswith("dev/whit/") for n in names)
    for name in names:
        magic, _, major = struct.unpack(">IHH", classes.read(name)[:8])
        assert magic == 0xCAFEBABE and major == 52, name  # Java 8: what D8 takes from minSdk 21 on
    rules = aar.read("proguard.txt").decode()
    native = (_android.home() / "src/main/java/dev/whit/Native.java").read_text()
    jni = (_android.home() / "jni/whit_jni.c").read_text()
    assert "dev.whit.Native" in rules and "dev/whit/Native" in jni
    assert "void onNode(int, boolean)" in rules and '"onNode", "(IZ)V"' in jni
    declared = set(re.findall(r"static native \S+ (\w+)\(", native))
    registered = set(re.findall(r'^  X\("(\w+)", ', jni, re.M))
    assert declared == registered


@pytest.mark.parametrize("abi", _android.ABIS)
def test_library(aar: zipfile.ZipFile, abi: str, tmp_path: Path) -> None:
    path = tmp_path / "libwhit.so"
    path.write_bytes(aar.read(f"jni/{abi}/libwhit.so"))
    clang = _targets.compiler(_targets.target("android-x86_64"), "clang")
    nm, readelf = clang.tool("llvm-nm"), clang.tool("llvm-readelf")
    assert not _targets.run([nm, "-D", "-u", path]).strip()
    exported = _targets.run([nm, "-D", "--defined-only", path]).split("\n")
    assert [line.split()[-1] for line in exported if line] == ["JNI_OnLoad"]
    dynamic, heads = _targets.run([readelf, "-d", path]), _targets.run([readelf, "-lW", path])
    assert "NEEDED" not in dynamic and "TEXTREL" not in dynamic and "[libwhit.so]" in dynamic
    assert "(HASH)" in dynamic  # of Android 5
    assert set(re.findall(r"^ *LOAD .* (\S+)$", heads, re.M)) == {"0x4000"}
    assert not re.search(r"^ *LOAD.* RWE ", heads, re.M)
    assert re.search(r"GNU_STACK.* RW +0", heads)
    assert "Build ID" in _targets.run([readelf, "-n", path])


def test_repository(repository: Path, folder: Path) -> None:
    base = f"whit-{__version__}"
    for name in (f"{base}.aar", f"{base}.pom", f"{base}.module", f"{base}-sources.jar", f"{base}-javadoc.jar"):  # fmt: skip
        content = (folder / name).read_bytes()
        for h in ("md5", "sha1", "sha256", "sha512"):
            assert (folder / f"{name}.{h}").read_text() == hashlib.new(h, content).hexdigest()
    pom = ET.parse(folder / f"{base}.pom").getroot()
    assert [pom.findtext(POM + k) for k in ("groupId", "artifactId", "version", "packaging")] == [
        "dev.whit", "whit", __version__, "aar",
    ]  # fmt: skip
    assert "published-with-gradle-metadata" in (folder / f"{base}.pom").read_text()
    module = json.loads((folder / f"{base}.module").read_text())
    assert module["formatVersion"] == "1.1"
    assert module["component"]["module"] == "whit"
    usages = set()
    for variant in module["variants"]:
        for file in variant["files"]:
            content = (folder / file["url"]).read_bytes()
            assert file["size"] == len(content) and file["sha256"] == hashlib.sha256(content).hexdigest()  # fmt: skip
        if variant["attributes"]["org.gradle.category"] == "library":
            assert variant["attributes"]["org.gradle.libraryelements"] == "aar"
            usages.add(variant["attributes"]["org.gradle.usage"])
    assert usages == {"java-api", "java-runtime"}
    metadata = ET.parse(repository / "dev/whit/whit/maven-metadata.xml").getroot()
    assert metadata.findtext("versioning/release") == __version__
    sources = zipfile.ZipFile(folder / f"{base}-sources.jar").namelist()
    assert "dev/whit/Session.java" in sources
    assert "dev/whit/Session.html" in zipfile.ZipFile(folder / f"{base}-javadoc.jar").namelist()


def test_the_same_bytes_again(folder: Path, aar: zipfile.ZipFile, tmp_path: Path) -> None:
    made, _ = _android.build([], "size", tmp_path, abis=["armeabi-v7a"])
    for name in (f"whit-{__version__}-sources.jar", f"whit-{__version__}-javadoc.jar"):
        assert made.with_name(name).read_bytes() == (folder / name).read_bytes(), name
    again = zipfile.ZipFile(made)
    for name in again.namelist():
        assert again.read(name) == aar.read(name), name
