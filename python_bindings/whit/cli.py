"""The command line: whit convert, run, inspect, bench, diff, build, size."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from . import __version__, _bench, _build, _diff, _feeds, _inspect, _size
from ._table import Report, json_value
from .errors import RunError, WhitError
from .model import load, shape_text


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        sys.exit(2)


def _add_inputs(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="NAME=VALUE (a number, a [list], a .npy file) or a .npz, .npy, .json file",
    )
    p.add_argument(
        "--shape", action="append", default=[], metavar="NAME=N[,N...]",
        help="size of a named dimension, or shape of an input, for random inputs (default: 1)",
    )  # fmt: skip
    p.add_argument("--seed", type=int, default=0, help="of the random inputs (default 0)")
    p.add_argument("--entry", help="entry point (default: the first)")


def _parser() -> _Parser:
    parser = _Parser(prog="whit", description="Trained models in a tiny runtime.")
    parser.add_argument("--version", action="version", version=f"whit {__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=_Parser
    )

    def command(
        name: str, run: Callable[[argparse.Namespace], Report], help: str
    ) -> argparse.ArgumentParser:
        p = commands.add_parser(name, help=help, description=help)
        p.add_argument("--json", action="store_true", help="print JSON")
        p.set_defaults(run=run)
        return p

    p = command("convert", _convert, "make a .whit file of an ONNX model")
    p.add_argument("model", help="model.onnx")
    p.add_argument("target", nargs="?", metavar="model.whit", help="default: beside the model")
    p.add_argument("-o", "--output", help="the same as model.whit")
    p.add_argument("--strip", action="store_true", help="leave out debug names")
    p.add_argument(
        "--optimize", choices=("memory", "balanced", "speed"), default="balanced",
        help="filters for Winograd's method (3x3 convolutions) are stored as they are (memory), or at four times the bytes, which is "
        "faster: up to a tenth of the file (balanced, the default), or all that get faster (speed, which also does depthwise "
        "convolutions together with the 1x1 ones around them)",
    )  # fmt: skip
    p.add_argument(
        "--state", action="append", default=[], metavar="INPUT=OUTPUT",
        help="keep this output from run to run as the value of this input",
    )  # fmt: skip
    p.add_argument("--check", action="store_true", help="verify the program between passes")
    p.add_argument("--dump-after", metavar="PASS", help="print the program after a pass")
    p.add_argument(
        "--no-layout", dest="layout", action="store_false", help="leave images channels-first"
    )
    p.add_argument(
        "--no-fuse", dest="fuse", action="store_false", help="leave element-wise operators apart"
    )

    p = command("run", _run, "run a model")
    p.add_argument("model", help="model.whit")
    _add_inputs(p)
    p.add_argument(
        "--tap",
        action="append",
        metavar="NAME",
        help="show these values of the source model too (glob, @iteration)",
    )
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("-o", "--output", metavar="FILE.npz", help="write the results there")

    p = command(
        "inspect", _inspect.run, "what a model contains: inputs, outputs, nodes, regions, bytes"
    )
    p.add_argument("model", help="model.whit")
    p.add_argument("--nodes", action="store_true", help="list every node however many there are")

    p = command("bench", _bench.run, "how long a model takes, and where the time goes")
    p.add_argument("model", help="model.whit")
    _add_inputs(p)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument(
        "--runs", type=int, default=0, help="timed runs (default: as many as fit in --seconds)"
    )
    p.add_argument("--seconds", type=float, default=1.0, help="time for the timed runs (default 1)")
    p.add_argument(
        "--warmup",
        type=int,
        help="runs before the timed ones (default: a tenth of them, at least 3)",
    )
    p.add_argument(
        "--minutes", type=float, default=0.0,
        help="then run on for so long, and show minimum and median of twenty intervals",
    )  # fmt: skip
    p.add_argument(
        "--profile", action="store_true",
        help="measure the machine too, and show each node's share of what it could do (roofline)",
    )  # fmt: skip
    p.add_argument("--trace", metavar="FILE", help="write a trace of one run that Perfetto opens")
    p.add_argument("--top", type=int, default=15, help="rows of the per-node table (default 15)")
    p.add_argument(
        "--adb", action="store_true", help="measure on the phone that adb reaches, with whit_bench"
    )
    p.add_argument("--serial", help="which phone, if there are several (adb devices lists them)")
    p.add_argument("--abi", help="whit_bench of this ABI instead of the phone's first choice")
    p.add_argument(
        "--taskset", metavar="MASK", help="on these cores of the phone only (hexadecimal)"
    )

    p = command("diff", _diff.run, "compare every shared value with onnxruntime")
    p.add_argument("onnx", help="model.onnx")
    p.add_argument("model", help="model.whit")
    _add_inputs(p)
    p.add_argument("--rtol", type=float, default=1e-3)
    p.add_argument("--atol", type=float, default=1e-4)
    p.add_argument(
        "--all", action="store_true", help="list every value, not only the first hundred"
    )

    p = command("build", _build.run, "make a library that holds what some models need")
    _build.add_arguments(p)
    p = command("size", _size.run, "the bytes of such a library, by component, operator and kernel")
    _size.add_arguments(p)
    return parser


def _convert(args: argparse.Namespace) -> Report:
    from . import convert

    state = {}
    for pair in args.state:
        name, equals, output = pair.partition("=")
        if not equals or not name or not output:
            raise RunError(f"--state {pair}: expected INPUT=OUTPUT")
        state[name] = output
    output = args.output or args.target or os.path.splitext(args.model)[0] + ".whit"
    if not os.path.isfile(args.model):
        raise RunError(f"{args.model}: no such file")
    convert(
        args.model, output, state=state or None, strip=args.strip, optimize=args.optimize, check=args.check,
        dump_after=args.dump_after, layout=args.layout, fuse=args.fuse,
    )  # fmt: skip
    before, after = os.path.getsize(args.model), os.path.getsize(output)
    report = Report({"output": output, "bytes": after, "source_bytes": before})
    report.line(f"{output}: {after:,} bytes (the ONNX file: {before:,})")
    return report


def _run(args: argparse.Namespace) -> Report:
    model = load(args.model)
    entry = model.entry(args.entry)
    feeds = _feeds.gather(entry, args.inputs, _feeds.parse_shapes(args.shape), args.seed)
    results = model.run(feeds, tap=args.tap, entry=args.entry, threads=args.threads)
    if args.output:
        np.savez(args.output, **_feeds.flatten(results))  # type: ignore[arg-type]
    report = Report(
        {"outputs": {n: json_value(v) for n, v in results.items()}, "steps": model.last_steps}
    )
    for name, value in results.items():
        report.line(f"{name}: {_describe(value)}")
    return report


def _describe(value: Any) -> str:
    if value is None:
        return "absent"
    if isinstance(value, list):
        items = "".join(f"\n  [{k}] {_describe(v)}" for k, v in enumerate(value))
        return f"{len(value)} arrays{items}"
    text = np.array2string(value, threshold=64, precision=6, suppress_small=True, prefix="  ")
    return f"{value.dtype.name} {shape_text(value.shape)}{' ' if value.ndim < 2 else chr(10) + '  '}{text}"


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, 1 if something failed, 2 for wrong usage."""
    args = _parser().parse_args(argv)
    try:
        report: Report = args.run(args)
        if args.json:
            print(json.dumps(report.data, indent=1, allow_nan=False))
        else:
            report.print()
        sys.stdout.flush()
        return report.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except (WhitError, OSError) as e:
        return _fail(str(e))
    except Exception as e:
        if os.environ.get("WHIT_DEBUG"):
            raise
        return _fail(f"internal error: {type(e).__name__}: {e} (WHIT_DEBUG=1 shows where)")


def _fail(message: str) -> int:
    print(f"whit: {' '.join(message.split())}", file=sys.stderr)
    return 1
