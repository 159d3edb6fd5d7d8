"""whit bench --adb: whit_bench on a connected phone. Push, run, pull, and clean up."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import _bench_build, _feeds, _profile, dtypes
from ._native import Array
from .errors import RunError
from .model import Entry, _by_name, _prepare, load

FOLDER = "/data/local/tmp/whit"
"""Where the shell of a phone may write and start programs."""
_STATES = {
    "unauthorized": "has not allowed this computer: confirm the question on its screen",
    "offline": "does not answer: unplug it and plug it in again",
    "no permissions": "may not be used by this user: see developer.android.com/tools/device",
}
_EXIT = re.compile(r"^whit_bench ended with (\d+)\s*$", re.M)


class Phone:
    """One device, by its serial number."""

    def __init__(self, wanted: str | None) -> None:
        adb = shutil.which("adb")
        if adb is None:
            raise RunError(
                "there is no adb on PATH: install Android's platform-tools (apt install adb, brew install android-platform-tools)"
            )
        self.adb = adb
        self.serial = self._choose(wanted)

    def _choose(self, wanted: str | None) -> str:
        said = self._call("devices").partition("List of devices attached")[2]
        found = dict(line.strip().split(None, 1) for line in said.splitlines() if line.strip())
        if not found:
            raise RunError(
                "adb sees no phone: plug one in, with USB debugging on (Settings, Developer options)"
            )
        if wanted is None and len(found) > 1:
            raise RunError(
                f"adb sees several phones; name one with --serial: {', '.join(sorted(found))}"
            )
        serial = wanted or next(iter(found))
        if serial not in found:
            raise RunError(
                f"adb sees no phone {serial}; it sees {', '.join(sorted(found)) or 'none'}"
            )
        state = found[serial]
        if state != "device":
            why = next((s for k, s in _STATES.items() if state.startswith(k)), f"is {state!r}")
            raise RunError(f"the phone {serial} {why}")
        return serial

    def _call(self, *arguments: str) -> str:
        said = subprocess.run([self.adb, *arguments], capture_output=True, text=True)
        if said.returncode:
            raise RunError(f"adb {arguments[0]} failed: {_last_line(said.stderr + said.stdout)}")
        return said.stdout

    def shell(self, command: str) -> tuple[str, str]:
        """What a command prints: the output and the errors. An old adb does not hand on exit codes, so they are not looked at."""
        said = subprocess.run(
            [self.adb, "-s", self.serial, "shell", command], capture_output=True, text=True
        )
        return said.stdout, said.stderr

    def property(self, name: str) -> str:
        return self.shell(f"getprop {name}")[0].strip()

    def push(self, source: str | Path, to: str) -> None:
        said = subprocess.run(
            [self.adb, "-s", self.serial, "push", str(source), to], capture_output=True, text=True
        )
        if not said.returncode:
            return
        text = said.stderr + said.stdout
        n_bytes = os.path.getsize(source)
        if "No space left" in text:
            raise RunError(
                f"the phone is full: no room for {n_bytes:,} bytes of {source} in {os.path.dirname(to)}"
            )
        raise RunError(f"{source} cannot be copied to the phone: {_last_line(text)}")

    def pull(self, source: str, to: Path) -> None:
        self._call("-s", self.serial, "pull", source, str(to))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it says nothing"


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """The numbers of a run on the phone, with the keys that a run here gives, and the device."""
    model = load(args.model)
    entry = model.entry(args.entry)
    feeds = _feeds.gather(entry, args.inputs, _feeds.parse_shapes(args.shape), args.seed)
    arrays, _ = _prepare(entry, _by_name(entry, feeds))
    phone = Phone(args.serial)
    abi = _abi(phone, args.abi)
    try:
        program = _bench_build.build(abi)
    except _bench_build.BuildError as e:
        raise RunError(str(e)) from None
    folder = f"{FOLDER}/{os.getpid()}"
    try:
        data = _run(phone, folder, program, entry, arrays, args)
    finally:
        phone.shell(f"rm -rf {folder}; rmdir {FOLDER}")
    data["file"] = args.model
    data["device"] = f"{phone.property('ro.product.model') or 'a phone'} ({phone.serial}, {abi})"
    if args.profile:
        instance, arrays = model.instance(feeds, entry=args.entry, threads=args.threads)
        _profile.add_roofline(data, _profile.costs(model, instance, arrays))
    return data


def _abi(phone: Phone, wanted: str | None) -> str:
    first = phone.property("ro.product.cpu.abi")
    if not first:
        raise RunError(
            f"the phone {phone.serial} does not tell its ABI (getprop ro.product.cpu.abi)"
        )
    runs = [a for a in phone.property("ro.product.cpu.abilist").split(",") if a] or [first]
    abi = _bench_build.ALIASES.get(wanted, wanted) if wanted else first
    if abi not in runs:
        raise RunError(f"the phone {phone.serial} does not run {abi}; it runs {', '.join(runs)}")
    return abi


def _write_inputs(entry: Entry, arrays: Sequence[Any], to: Path) -> list[str]:
    """Writes the inputs to a folder, so that the phone computes what this machine would; whit_bench's options for them."""
    options: list[str] = []
    for k, (port, value) in enumerate(zip(entry.inputs, arrays, strict=True)):
        if value is None:
            continue
        items: list[Array] = value if isinstance(value, list) else [value]
        if not items:
            raise RunError(f"input {port.name!r}: whit_bench takes no empty sequence")
        is_plain = all(dtypes.from_numpy(a.dtype) <= dtypes.U64 for a in items)
        for j, a in enumerate(items):
            file = to / f"input{k}.{j}.{'npy' if is_plain else 'raw'}"
            if is_plain:
                np.save(file, a)
            else:  # a type that .npy files have no name for
                file.write_bytes(a.tobytes())
            options += ["--input", f"{port.name}={file.name}"]
        if not is_plain:
            options += ["--shape", f"{port.name}={','.join(map(str, items[0].shape))}"]
    return options


def _options(args: argparse.Namespace) -> list[str]:
    options = ["--seconds", str(args.seconds), "--threads", str(args.threads)]
    if args.runs:
        options += ["--runs", str(args.runs)]
    if args.warmup is not None:
        options += ["--warmup", str(args.warmup)]
    if args.minutes:
        options += ["--minutes", str(args.minutes)]
    if args.entry:
        options += ["--entry", args.entry]
    return [*options, *(["--profile"] if args.profile else [])]


def _run(
    phone: Phone, folder: str, program: Path, entry: Entry, arrays: Sequence[Any], args: argparse.Namespace
) -> dict[str, Any]:  # fmt: skip
    phone.shell(f"mkdir -p {folder}")
    with tempfile.TemporaryDirectory() as here:
        options = [*_write_inputs(entry, arrays, Path(here)), *_options(args)]
        phone.push(program, f"{folder}/whit_bench")
        phone.push(args.model, f"{folder}/model.whit")
        for file in sorted(Path(here).iterdir()):
            phone.push(file, f"{folder}/{file.name}")
        command = ["./whit_bench", "model.whit", "--json", "result.json", *options]
        if args.taskset:
            command = ["taskset", args.taskset, *command]
        out, err = phone.shell(
            f"cd {folder} && chmod 755 whit_bench && {shlex.join(command)}; echo whit_bench ended with $?"
        )
        ended = _EXIT.search(out)
        if not ended:
            raise RunError(f"the phone {phone.serial} was lost during the run: {_last_line(err)}")
        if ended[1] != "0":
            said = _last_line(err + _EXIT.sub("", out)).removeprefix("whit_bench: ")
            raise RunError(f"on the phone {phone.serial}: {said} (exit code {ended[1]})")
        phone.pull(f"{folder}/result.json", Path(here) / "result.json")
        data: dict[str, Any] = json.loads((Path(here) / "result.json").read_text(encoding="utf-8"))
    return data
