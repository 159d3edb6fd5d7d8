"""Makes the vectors that the tests of the bindings for phones share: models, inputs, and the outputs' bytes.

    python tests/vectors/make.py           # writes models, inputs and expected outputs beside itself

vectors.json lists cases. A case is a model and its runs in order, in one session: the entry point ("": the first), and each
input and output with its name, dtype, shape and bytes: bytes of them from byte at of vectors.bin on (dense, little-endian, at a
multiple of 16); {"items": [...]} for a sequence, {"absent": true} for an optional without content. steps: nodes executed. A run
that must fail has "fails" in place of outputs: the status, the node and the operator. Outputs are the Python binding's; onnxruntime is asked too, and must agree within the tolerance here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime

import whit

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples/models"
TOLERANCE = 1e-4
Run = tuple[str, dict[str, Any]]
"""Entry point and inputs."""

TEXTS = {
    "add": """add (float[2] x, float[2] sum_in) => (float[2] sum, float[2] twice) {
  sum = Add(x, sum_in)
  twice = Add(sum, sum)
}""",
    "read": """read (float factor, float[2] sum_in) => (float[2] sum, float[2] scaled) {
  sum = Identity(sum_in)
  scaled = Mul(sum_in, factor)
}""",
    "lists": """lists (seq(float[k]) items, int64 at) => (float[k] one, int64 n, seq(float[k]) longer) {
  [pick] one = SequenceAt(items, at)
  n = SequenceLength(items)
  longer = SequenceInsert(items, one)
}""",
    "maybe": """maybe (float[n] x, optional(float[n]) bias) => (float[n] y) {
  has = OptionalHasElement(bias)
  [choose] y = If(has) <
    then_branch = yes () => (float[n] a) { b = OptionalGetElement(bias) a = Add(x, b) },
    else_branch = no () => (float[n] c) { c = Neg(x) }>
}""",
    "kinds": """kinds (float[n] f32, double[n] f64, float16[n] f16, bfloat16[n] bf16, int8[n] i8, uint8[n] u8, int16[n] i16,
  uint16[n] u16, int32[n] i32, uint32[n] u32, int64[n] i64, uint64[n] u64, bool[n] truth)
  => (float[m] yf32, double[m] yf64, float16[m] yf16, bfloat16[m] ybf16, int8[m] yi8, uint8[m] yu8, int16[m] yi16,
  uint16[m] yu16, int32[m] yi32, uint32[m] yu32, int64[m] yi64, uint64[m] yu64, bool[m] ytruth) {
  yf32 = Concat<axis = 0>(f32, f32)  yf64 = Concat<axis = 0>(f64, f64)  yf16 = Concat<axis = 0>(f16, f16)
  ybf16 = Concat<axis = 0>(bf16, bf16)  yi8 = Concat<axis = 0>(i8, i8)  yu8 = Concat<axis = 0>(u8, u8)
  yi16 = Concat<axis = 0>(i16, i16)  yu16 = Concat<axis = 0>(u16, u16)  yi32 = Concat<axis = 0>(i32, i32)
  yu32 = Concat<axis = 0>(u32, u32)  yi64 = Concat<axis = 0>(i64, i64)  yu64 = Concat<axis = 0>(u64, u64)
  ytruth = Concat<axis = 0>(truth, truth)
}""",
    # Runs for as long as it is told to: for cancelling, and for values inside a loop.
    "spin": """spin (int64 trips, float[2] start) => (float[2] total)
<bool yes = {1}, float half = {0.5}> {
  [repeat] total = Loop(trips, yes, start) <body = body (int64 i, bool go, float[2] sum) => (bool again, float[2] next) {
      again = Identity(go)
      [number] f = Cast<to = 1>(i)
      [halve] less = Mul(sum, half)
      [step] next = Add(less, f)
  }>
}""",
    # A product large enough to be worth dividing among threads.
    "wide": """wide (float[n, 96] a, float[96, m] b) => (float[n, m] y) { [multiply] y = MatMul(a, b) }""",
}


def parse(name: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> {TEXTS[name]}')


def sources() -> dict[str, Any]:
    """What is converted: by name, the arguments of whit.convert."""
    found: dict[str, Any] = {
        name: {"model": onnx.load(EXAMPLES / f"{name}.onnx")}
        for name in ("triple", "digits", "dates")
    }
    found["counter"] = {
        "model": {"add": parse("add"), "read": parse("read")},
        "state": {"add": {"sum_in": "sum"}, "read": {"sum_in": "sum"}},
    }
    return found | {n: {"model": parse(n)} for n in ("lists", "maybe", "kinds", "spin", "wide")}


def kinds() -> dict[str, Any]:
    import ml_dtypes

    some = np.array([0, 1, 3, 100, 127])
    types = ("float32", "float64", "float16", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")  # fmt: skip
    names = ("f32", "f64", "f16", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64")
    found: dict[str, Any] = {n: some.astype(t) for n, t in zip(names, types, strict=True)}
    for n, t in zip(names, types, strict=True):
        if t.startswith("float"):
            found[n][:3] = np.array([-0.0, np.inf, 1e-7]).astype(t)
        else:
            found[n][:2] = np.iinfo(t).min, np.iinfo(t).max
    return {**found, "bf16": some.astype(ml_dtypes.bfloat16), "truth": some > 2}


def cases() -> dict[str, tuple[str, list[Run]]]:
    """By name: the model, and its runs."""
    scans = np.load(EXAMPLES / "digits_test.npz")["images"].astype(np.float32)[:, None, None] / 16
    digits = whit.load(whit.convert(EXAMPLES / "digits.onnx"))
    early, late = (
        next(x for x in scans if int(digits.run({"image": x})["exit"]) == e) for e in (0, 1)
    )
    rng, pair = np.random.default_rng(5), np.array([1, 2], np.float32)
    items = [rng.standard_normal(n).astype(np.float32) for n in (3, 1, 4)]
    found: dict[str, tuple[str, list[Run]]] = {
        "triple": ("triple", [("", {"x": np.array([[14.0], [0.1]], np.float32)})]),
        "early": ("digits", [("", {"image": early})]),
        "late": ("digits", [("", {"image": late})]),
        "dates": ("dates", [("", {"text": np.frombuffer(t.encode(), np.uint8).astype(np.int64)})
                            for t in ("sunday 22 november 2026", "Nov 2026", "hello")]),
        "counter": ("counter", [("add", {"x": pair}), ("add", {"x": 10 * pair}),
                                ("read", {"factor": np.float32(0.5)})]),
        "lists": ("lists", [("", {"items": items, "at": np.int64(k)}) for k in (0, 2, 7)]),
        "maybe": ("maybe", [("", {"x": items[0], "bias": items[0]}), ("", {"x": items[0], "bias": None})]),
        "kinds": ("kinds", [("", kinds())]),
        "empty": ("triple", [("", {"x": np.empty((0, 1), np.float32)})]),
        "spin": ("spin", [("", {"trips": np.int64(n), "start": pair}) for n in (7, 0)]),
        "wide": ("wide", [("", {"a": rng.standard_normal((48, 96)).astype(np.float32),
                                "b": rng.standard_normal((96, 40)).astype(np.float32)})]),
    }  # fmt: skip
    return found


def tensor(value: Any, name: str, data: bytearray) -> dict[str, Any]:
    """Appends a value; what vectors.json says of it."""
    if value is None:
        return {"name": name, "absent": True}
    if isinstance(value, list):
        return {"name": name, "items": [tensor(v, "", data) for v in value]}
    array = np.asarray(value)
    data += bytes(-len(data) % 16)
    found = {
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "at": len(data),
        "bytes": array.nbytes,
    }
    data += np.ascontiguousarray(array).tobytes()
    return {"name": name, **found} if name else found


def judge(proto: onnx.ModelProto, feeds: dict[str, Any], ours: dict[str, Any]) -> None:
    """onnxruntime's word on a run, where it knows the types."""
    if any(getattr(v, "dtype", None) == "bfloat16" for v in feeds.values()):
        return  # NumPy cannot hand it over: the outputs are the inputs' bits, twice
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    theirs = session.run(
        None,
        {k: v if v is None or isinstance(v, list) else np.asarray(v) for k, v in feeds.items()},
    )
    for name, want in zip([o.name for o in session.get_outputs()], theirs, strict=True):
        pairs = (
            zip(ours[name], want, strict=True) if isinstance(want, list) else [(ours[name], want)]
        )
        for a, b in pairs:
            np.testing.assert_allclose(a, b, TOLERANCE, TOLERANCE, err_msg=name)


def run(model: whit.Model, entry: str, feeds: dict[str, Any], data: bytearray) -> dict[str, Any]:
    names = [p.name for p in model.entry(entry or None).inputs]
    record: dict[str, Any] = {
        "entry": entry,
        "inputs": [tensor(feeds[n], n, data) for n in names],
    }
    try:
        results = model.run(feeds, entry=entry or None)
    except whit.RunError as e:
        return record | {"fails": {"status": e.status, "node": e.node, "operator": e.operator}}
    outputs = [tensor(v, n, data) for n, v in results.items()]
    return record | {"outputs": outputs, "steps": model.last_steps}


def main() -> int:
    for old in HERE.glob("*.whit"):
        old.unlink()
    protos = sources()
    for name, arguments in protos.items():
        whit.convert(output=HERE / f"{name}.whit", **arguments)
    found, data = [], bytearray()
    for name, (source, runs) in cases().items():
        model = whit.load(HERE / f"{source}.whit")
        records = []
        for entry, feeds in runs:
            records.append(run(model, entry, feeds, data))
            if (
                "outputs" in records[-1] and source != "counter"
            ):  # which onnxruntime would need to be handed its state
                judge(protos[source]["model"], feeds, model.run(feeds))
        found.append({"name": name, "model": f"{source}.whit", "runs": records})
    (HERE / "vectors.bin").write_bytes(data)
    text = json.dumps({"cases": found}, indent=1)
    (HERE / "vectors.json").write_text(text + "\n")
    total = sum(f.stat().st_size for f in HERE.iterdir() if f.is_file())
    print(f"{len(found)} cases, {total:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
