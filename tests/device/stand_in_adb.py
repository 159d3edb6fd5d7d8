"""An adb whose phone is a directory: `stand_in_adb.py FOLDER ARGUMENTS`. FOLDER/phone.json says what is connected and what is wrong.

devices    [serial, state] of each        properties  what getprop answers
emulator   what starts a program of the phone   space  bytes that fit; the file system is FOLDER/data/local/tmp
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

TMP = "/data/local/tmp"


def main(folder: Path, arguments: list[str]) -> int:
    phone = json.loads((folder / "phone.json").read_text())
    with (folder / "log").open("a") as log:
        print(*arguments, file=log)
    root = folder / TMP[1:]
    if arguments == ["devices"]:
        print("* daemon not running; starting now at tcp:5037\n* daemon started successfully")
        print("List of devices attached")
        for serial, state in phone["devices"]:
            print(f"{serial}\t{state}")
        print()
        return 0
    if arguments[0] == "-s":
        if arguments[1] not in [serial for serial, state in phone["devices"] if state == "device"]:
            print(f"adb: device '{arguments[1]}' not found", file=sys.stderr)
            return 1
        arguments = arguments[2:]
    command, *rest = arguments
    if command == "shell":
        return shell(phone, root, " ".join(rest))
    if command == "push":
        *sources, to = rest
        for source in sources:
            used = sum(f.stat().st_size for f in root.rglob("*") if f.is_file())
            if used + os.path.getsize(source) > phone.get("space", 1 << 40):
                print(f"adb: error: failed to copy '{source}' to '{to}': remote No space left on device")  # fmt: skip
                return 1
            shutil.copy(source, here(root, to))
        print(f"{len(sources)} file(s) pushed")
        return 0
    if command == "pull":
        source, to = rest if len(rest) == 2 else (rest[0], ".")
        shutil.copy(here(root, source), to)
        return 0
    print(f"adb: unknown command {command}", file=sys.stderr)
    return 1


def here(root: Path, path: str) -> str:
    return path.replace(TMP, str(root))


def shell(phone: dict[str, object], root: Path, command: str) -> int:
    """As an old adb: the exit code is not handed on."""
    root.mkdir(parents=True, exist_ok=True)
    first, *rest = command.split(None, 1)
    if first == "getprop":
        print(dict(phone["properties"]).get(rest[0], ""))  # type: ignore[call-overload]
        return 0
    command = here(root, command)
    for program in ("./whit_bench", f"{root}/whit/whit_bench"):
        command = command.replace(f"{program} ", f"{phone['emulator']} {program} ")
    subprocess.run(["sh", "-c", command], cwd=root)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
