"""whit build --target ios --xcframework: the static library for iPhone, simulator and Mac as Xcode takes it.

Static frameworks and not bare static libraries, since only a framework has a place for the privacy manifest that Apple collects
(Xcode leaves the archive itself out of the app). The bytes depend on nothing but the sources, the compiler and zlib.
"""

from __future__ import annotations

import hashlib
import plistlib
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import __version__, _targets
from ._build import Source
from ._targets import ToolError

MODULE = "CWhit"
"""What Swift and Objective-C import; the Swift package's own module is Whit."""
PRIVACY: dict[str, Any] = {
    "NSPrivacyAccessedAPITypes": [],
    "NSPrivacyCollectedDataTypes": [],
    "NSPrivacyTracking": False,
    "NSPrivacyTrackingDomains": [],
}
"""Collects nothing, and calls nothing for which Apple wants a reason: the library calls nothing at all."""
MODULE_MAP = f'framework module {MODULE} {{\n  header "whit.h"\n  export *\n}}\n'
TIME = (1980, 1, 1, 0, 0, 0)
"""Of every file in the zip: its format knows no earlier one."""


@dataclass(frozen=True)
class Slice:
    """A folder of the .xcframework."""

    target: str
    identifier: str
    platform: str
    variant: str
    sdk: str
    """As in CFBundleSupportedPlatforms."""

    @property
    def architectures(self) -> list[str]:
        return [triple.partition("-")[0] for triple in _targets.target(self.target).triples]

    @property
    def minimum(self) -> str:
        """The oldest system, as the target's linker is told."""
        return _targets.target(self.target).ldflags[2]


SLICES = (
    Slice("ios-arm64", "ios-arm64", "ios", "", "iPhoneOS"),
    Slice("ios-simulator", "ios-arm64_x86_64-simulator", "ios", "simulator", "iPhoneSimulator"),
    Slice("macos", "macos-arm64_x86_64", "macos", "", "MacOSX"),
)


def plist(content: dict[str, Any]) -> bytes:
    return plistlib.dumps(content, sort_keys=True)


def _description(s: Slice) -> bytes:
    """Info.plist of a framework."""
    content: dict[str, Any] = {
        "CFBundleDevelopmentRegion": "en", "CFBundleExecutable": MODULE, "CFBundleIdentifier": "dev.whit.CWhit",
        "CFBundleInfoDictionaryVersion": "6.0", "CFBundleName": MODULE, "CFBundlePackageType": "FMWK",
        "CFBundleShortVersionString": __version__, "CFBundleSupportedPlatforms": [s.sdk], "CFBundleVersion": __version__,
    }  # fmt: skip
    if s.platform == "macos":
        content["LSMinimumSystemVersion"] = s.minimum
    else:
        content["MinimumOSVersion"], content["UIDeviceFamily"] = s.minimum, [1, 2]
    return plist(content)


def _framework(s: Slice, made: Source, folder: Path) -> None:
    """CWhit.framework in a folder. A Mac wants its files under Versions, with links to them."""
    root = folder / f"{MODULE}.framework"
    mac = s.platform == "macos"
    place = root / "Versions/A" if mac else root
    resources = place / "Resources" if mac else place
    for part in (place / "Headers", place / "Modules", resources):
        part.mkdir(parents=True, exist_ok=True)
    archive = folder / "libwhit.a"
    made.compile([archive])
    archive.replace(place / MODULE)
    shutil.copyfile(made.path.with_name("whit.h"), place / "Headers/whit.h")
    (place / "Modules/module.modulemap").write_text(MODULE_MAP)
    (resources / "Info.plist").write_bytes(_description(s))
    (resources / "PrivacyInfo.xcprivacy").write_bytes(plist(PRIVACY))
    if mac:
        (root / "Versions/Current").symlink_to("A")
        for name in (MODULE, "Headers", "Modules", "Resources"):
            (root / name).symlink_to(f"Versions/Current/{name}")


def archives(root: Path) -> list[Path]:
    """The static libraries of a Whit.xcframework."""
    return [root / s.identifier / _entry(s)["BinaryPath"] for s in SLICES]


def _entry(s: Slice) -> dict[str, Any]:
    """What Info.plist of the .xcframework says of a slice."""
    inside = f"Versions/A/{MODULE}" if s.platform == "macos" else MODULE
    entry: dict[str, Any] = {
        "BinaryPath": f"{MODULE}.framework/{inside}", "LibraryIdentifier": s.identifier,
        "LibraryPath": f"{MODULE}.framework", "SupportedArchitectures": s.architectures, "SupportedPlatform": s.platform,
    }  # fmt: skip
    return {**entry, "SupportedPlatformVariant": s.variant} if s.variant else entry


def build(made: Source, folder: Path) -> tuple[Path, Path, str]:
    """Writes Whit.xcframework and its zip into a folder; these, and the checksum that a Swift package states."""
    root = folder / "Whit.xcframework"
    if root.exists():
        if not (root / "Info.plist").is_file():
            raise ToolError(f"{root} is there and is no .xcframework: move it away")
        shutil.rmtree(root)
    root.mkdir(parents=True)
    content = {
        "AvailableLibraries": [_entry(s) for s in SLICES],
        "CFBundlePackageType": "XFWK",
        "XCFrameworkFormatVersion": "1.0",
    }
    # First, so that what an interrupted build leaves is known for what it is.
    (root / "Info.plist").write_bytes(plist(content))
    for s in SLICES:
        source = Source(made.path, _targets.target(s.target), made.profile, made.selection)
        _framework(s, source, root / s.identifier)
    packed = pack(root)
    return root, packed, hashlib.sha256(packed.read_bytes()).hexdigest()


def pack(root: Path) -> Path:
    """A zip of a folder beside it: files in order, with one time and plain permissions, links as links."""
    to = root.with_name(root.name + ".zip")
    with zipfile.ZipFile(to, "w") as z:
        for path in sorted(root.rglob("*")):
            linked = path.is_symlink()
            if path.is_dir() and not linked:
                continue
            info = zipfile.ZipInfo(path.relative_to(root.parent).as_posix(), TIME)
            info.create_system = 3  # Unix, which has links
            info.external_attr = (0o120777 if linked else 0o100644) << 16
            info.compress_type = zipfile.ZIP_STORED if linked else zipfile.ZIP_DEFLATED
            z.writestr(info, str(path.readlink()) if linked else path.read_bytes())
    return to
