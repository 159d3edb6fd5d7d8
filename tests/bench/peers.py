"""The engines that `make bench` compares, behind one small interface. Runs inside each engine's own environment.

    peers.py prepare ENGINE MODEL            converts a model once, into build/bench/peers/ENGINE/
    peers.py serve ENGINE MODEL THREADS      loads it and measures on demand: a line of JSON in, a line out
    peers.py once ENGINE MODEL THREADS       waits for a line, then: load and first inference of a fresh process, and its memory

Every engine is called through the thinnest way its Python package has, on inputs that are in place already.
What goes wrong is an answer, {"error": a sentence}: bench.py counts it as a failure of that engine.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

CACHE = Path(os.environ.get("WHIT_BENCH_CACHE") or Path(__file__).parents[2] / "build" / "bench")
"""Environments, models, converted models, results: some 15 GB when all engines are there."""

Array = np.ndarray[Any, Any]
Feeds = dict[str, Array]

FAMILIES: dict[str, tuple[str, ...]] = {
    "onnx": ("numpy==2.4.6", "onnx==1.23.2", "onnxruntime==1.31.1", "openvino==2026.4.0", "MNN==3.6.1"),
    "ncnn": ("torch==2.13.0", "numpy==2.4.6", "onnx==1.23.2", "ncnn==1.0.20261020", "pnnx==20261020"),
    "litert": ("torch==2.13.0", "numpy==2.4.6", "onnx==1.23.2", "ai-edge-litert==2.3.0", "litert-torch==0.10.0"),
    "executorch": ("torch==2.14.1", "numpy==2.4.6", "onnx==1.23.2", "executorch==1.5.1", "torchao==0.18.0"),
}  # fmt: skip
"""What is installed into build/bench/venv-FAMILY. The torch that an engine asks for decides who may share."""


class Engine:
    """One model in one engine. The class attributes say where it runs and when it takes part."""

    family: ClassVar[str] = "onnx"
    suffix: ClassVar[str] = ""
    modules: ClassVar[tuple[str, ...]] = ()
    modes: ClassVar[tuple[str, ...]] = ("warm", "cold", "memory")

    def __init__(self, model: str, n_threads: int) -> None:
        self.n_threads = n_threads
        self.source = CACHE / "models" / f"{model}.onnx"
        folder = CACHE / "peers" / type(self).__name__.lower()
        self.file = folder / f"{model}{self.suffix}"
        self.call: Callable[[], Any] = lambda: None
        """One inference, set by load."""

    def prepare(self) -> None:
        """Writes self.file from self.source."""

    def start(self) -> None:
        """What an app has done before it thinks of a model: the bare import."""
        for module in self.modules:
            importlib.import_module(module)

    def load(self, feeds: Feeds) -> None:
        """Opens self.file and puts the inputs in place."""
        raise NotImplementedError

    def outputs(self) -> Sequence[Array]:
        """Of the latest call, in the order of the ONNX model."""
        raise NotImplementedError

    def facts(self, feeds: Feeds) -> dict[str, Any]:
        """What else to keep about a fresh process, asked after everything was measured."""
        return {}

    def times(self, n_calls: int) -> list[int]:
        """Nanoseconds of each call; one goes before them that does not count."""
        call, clock, found = self.call, time.perf_counter_ns, []
        call()
        for _ in range(n_calls):
            start = clock()
            call()
            found.append(clock() - start)
        return found


class Whit(Engine):
    family = "whit"
    suffix = ".whit"
    modules = ("whit",)
    optimize: ClassVar[str] = "balanced"

    def start(self) -> None:
        super().start()
        importlib.import_module(
            "whit._native"
        ).lib()  # the import of the others opens their libraries

    def prepare(self) -> None:
        importlib.import_module("whit").convert(self.source, self.file, optimize=self.optimize)

    def load(self, feeds: Feeds) -> None:
        self.model = importlib.import_module("whit").load(self.file)
        self.instance, self.arrays = self.model.instance(feeds, threads=self.n_threads)
        self.call = self.run

    def run(self) -> None:
        self.results: list[Any] = []  # one set of outputs at a time
        self.results = self.instance.run(self.arrays)

    def outputs(self) -> Sequence[Array]:
        return [np.asarray(r) for r in self.results]

    def facts(self, feeds: Feeds) -> dict[str, Any]:
        profile = importlib.import_module("whit._profile")
        nodes = profile.costs(self.model, self.instance, self.arrays)
        weights = sum(c.weights / c.runs for c in nodes if c.runs)
        peaks = profile.peaks(self.n_threads)
        return {
            "arena_bytes": int(self.instance.arena.nbytes),
            "weights_bytes": int(weights),
            "mapped_bytes": resident_bytes(self.file),
            "least_ns": sum(c.flops for c in nodes) / peaks.gflops if peaks else 0.0,
            "output_bytes": sum(int(np.asarray(r).nbytes) for r in self.results),
        }

    def times(self, n_calls: int) -> list[int]:
        found: list[int] = self.instance.times(self.arrays, n_calls + 1, float("inf"))
        return found[1:]


class WhitMemory(Whit):
    optimize = "memory"


class WhitSpeed(Whit):
    optimize = "speed"


class OnnxRuntime(Engine):
    modules = ("onnxruntime",)
    config: ClassVar[dict[str, str]] = {}

    def options(self) -> Any:
        ort = importlib.import_module("onnxruntime")
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.n_threads, 1
        options.log_severity_level = 3
        return options

    def session(self, path: Path, options: Any) -> Any:
        ort = importlib.import_module("onnxruntime")
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def load(self, feeds: Feeds) -> None:
        session = self.session(self.file if self.suffix else self.source, self.options())
        self.binding = session.io_binding()
        for name, array in feeds.items():
            self.binding.bind_cpu_input(name, array)
        for output in session.get_outputs():
            self.binding.bind_output(output.name)
        run, bound = session._sess.run_with_iobinding, self.binding._iobinding
        self.call = lambda: run(bound, None)

    def outputs(self) -> Sequence[Array]:
        found: Sequence[Array] = self.binding.copy_outputs_to_cpu()
        return found


class OrtOffline(OnnxRuntime):
    """onnxruntime on a model whose graph was optimised before: the fair peer for load times."""

    suffix = ".ort"
    modes = ("cold", "memory")

    def prepare(self) -> None:
        options = self.options()
        options.optimized_model_filepath = str(self.file)
        options.add_session_config_entry("session.save_model_format", "ORT")
        self.session(self.source, options)


class Reference(OnnxRuntime):
    """Right answers: onnxruntime with its optimisations off, kept as NAME.npz."""

    suffix = ".npz"
    modes = ()

    def prepare(self) -> None:
        ort, options = importlib.import_module("onnxruntime"), self.options()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        found = self.session(self.source, options).run(None, read_feeds(self.source))
        np.savez(self.file, *found)


class OpenVino(Engine):
    suffix = ".xml"
    modules = ("openvino",)

    def prepare(self) -> None:
        ov = importlib.import_module("openvino")
        ov.save_model(ov.convert_model(self.source), self.file, compress_to_fp16=False)

    def load(self, feeds: Feeds) -> None:
        ov = importlib.import_module("openvino")
        config = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": self.n_threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        self.compiled = ov.Core().compile_model(self.file, "CPU", config)
        self.request = self.compiled.create_infer_request()
        self.tensors = [ov.Tensor(a, shared_memory=True) for a in feeds.values()]
        for name, tensor in zip(feeds, self.tensors, strict=True):
            self.request.set_tensor(name, tensor)
        base: Any = type(self.request).__mro__[1]  # without the wrapper in Python
        self.call = lambda: base.infer(self.request, {}, True, False)

    def outputs(self) -> Sequence[Array]:
        return [
            self.request.get_output_tensor(k).data.copy() for k in range(len(self.compiled.outputs))
        ]


class Mnn(Engine):
    suffix = ".mnn"
    modules = ("MNN",)

    def prepare(self) -> None:
        # The module behind the wrapper: the wrapper installs a telemetry package.
        importlib.import_module("MNN")
        arguments = [
            "-f",
            "ONNX",
            "--modelFile",
            self.source,
            "--MNNModel",
            self.file,
            "--bizCode",
            "x",
        ]
        importlib.import_module("_tools").mnnconvert(["mnnconvert", *map(str, arguments)])

    def load(self, feeds: Feeds) -> None:
        mnn = importlib.import_module("MNN")
        self.net = mnn.Interpreter(str(self.file))
        options = {"backend": "CPU", "precision": "high", "numThread": self.n_threads}
        session = self.net.createSession(options)
        kinds = {"float32": mnn.Halide_Type_Float, "int32": mnn.Halide_Type_Int}
        layout = mnn.Tensor_DimensionType_Caffe
        pairs = []
        for name, tensor in self.net.getSessionInputAll(session).items():
            a = feeds[name]
            a = a.astype(np.int32) if a.dtype == np.int64 else a
            pairs.append((tensor, mnn.Tensor(a.shape, kinds[a.dtype.name], a, layout)))
        self.found = self.net.getSessionOutputAll(session)
        hosts = {
            name: mnn.Tensor(
                t.getShape(), t.getDataType(), np.zeros(t.getShape(), np.float32), layout
            )
            for name, t in self.found.items()
        }
        self.hosts = hosts

        def call() -> None:
            for tensor, host in pairs:
                tensor.copyFrom(host)
            self.net.runSession(session)
            for name, host in hosts.items():
                self.found[name].copyToHostTensor(host)

        self.call = call

    def outputs(self) -> Sequence[Array]:
        with np.load(CACHE / "peers" / "reference" / f"{self.file.stem}.npz") as want:
            shapes = [want[k].shape for k in want.files]
        names = output_names(self.source)
        return [
            np.array(self.hosts[n].getData()).reshape(s) for n, s in zip(names, shapes, strict=True)
        ]


class Ncnn(Engine):
    family = "ncnn"
    suffix = ".ncnn.param"
    modules = ("ncnn",)

    def prepare(self) -> None:
        pnnx, torch_model = map(importlib.import_module, ("pnnx", "torch_model"))
        module, arguments = torch_model.load(self.source, read_feeds(self.source))
        stem = str(self.file).removesuffix(self.suffix)
        # pnnx does better from a traced module than from ONNX; fp16 storage off.
        pnnx.export(module, f"{stem}.pt", arguments, fp16=False)
        for leftover in (*self.file.parent.glob(f"{self.source.stem}.pnnx.*"), Path(f"{stem}.pt")):
            leftover.unlink(missing_ok=True)
        lines = self.file.read_text().splitlines()[2:]
        known = ("pnnx.", "aten::", "prim::", "F.", "nn.", "torch.", "Tensor.")
        foreign = sorted({line.split()[0] for line in lines if line.startswith(known)})
        if foreign:
            raise RuntimeError(f"pnnx leaves operators that ncnn lacks: {', '.join(foreign)}")

    def load(self, feeds: Feeds) -> None:
        ncnn = importlib.import_module("ncnn")
        self.net = ncnn.Net()
        o = self.net.opt
        o.num_threads, o.use_vulkan_compute = self.n_threads, False
        for key in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
            setattr(o, f"use_{key}", False)
        if self.net.load_param(str(self.file)) or self.net.load_model(
            str(self.file).replace(".param", ".bin")
        ):
            raise RuntimeError("ncnn does not load the model")
        mats = []
        for a in feeds.values():
            a = a.astype(np.int32) if a.dtype == np.int64 else a
            mats.append(ncnn.Mat(a.reshape(a.shape[1:] if a.ndim > 1 else a.shape)).clone())
        names_in = sorted(self.net.input_names(), key=number)
        names_out = sorted(self.net.output_names(), key=number)

        def call() -> None:
            with self.net.create_extractor() as run:
                for name, mat in zip(names_in, mats, strict=True):
                    run.input(name, mat)
                self.found: list[Any] = []
                for name in names_out:
                    status, mat = run.extract(name)
                    if status:
                        raise RuntimeError(f"ncnn: extract {name} fails with {status}")
                    self.found.append(mat)

        self.call = call

    def outputs(self) -> Sequence[Array]:
        return [np.array(mat) for mat in self.found]


class LiteRt(Engine):
    family = "litert"
    suffix = ".tflite"
    modules = ("ai_edge_litert.interpreter",)

    def prepare(self) -> None:
        litert, torch_model = map(importlib.import_module, ("litert_torch", "torch_model"))
        module, arguments = torch_model.load(self.source, read_feeds(self.source))
        litert.convert(module, arguments).export(str(self.file))

    def load(self, feeds: Feeds) -> None:
        interpreter = importlib.import_module("ai_edge_litert.interpreter").Interpreter(
            str(self.file), num_threads=self.n_threads
        )
        interpreter.allocate_tensors()
        details = sorted(interpreter.get_input_details(), key=lambda d: number(d["name"]))
        for detail, a in zip(details, feeds.values(), strict=True):
            interpreter.set_tensor(detail["index"], a.astype(detail["dtype"]))
        self.interpreter = interpreter
        self.call = interpreter._interpreter.Invoke

    def outputs(self) -> Sequence[Array]:
        details = sorted(self.interpreter.get_output_details(), key=lambda d: number(d["name"]))
        return [self.interpreter.get_tensor(d["index"]) for d in details]


class ExecuTorch(Engine):
    family = "executorch"
    suffix = ".pte"
    modules = ("torch", "executorch.runtime")

    def prepare(self) -> None:
        torch, torch_model = map(importlib.import_module, ("torch", "torch_model"))
        exir = importlib.import_module("executorch.exir")
        xnnpack = importlib.import_module(
            "executorch.backends.xnnpack.partition.xnnpack_partitioner"
        )
        module, arguments = torch_model.load(self.source, read_feeds(self.source))
        exported = torch.export.export(module, arguments)
        lowered = exir.to_edge_transform_and_lower(
            exported, partitioner=[xnnpack.XnnpackPartitioner()]
        )
        self.file.write_bytes(lowered.to_executorch().buffer)

    def load(self, feeds: Feeds) -> None:
        torch = importlib.import_module("torch")
        library = importlib.import_module("executorch.extension.pybindings.portable_lib")
        library._unsafe_reset_threadpool(self.n_threads)
        runtime = importlib.import_module("executorch.runtime").Runtime.get()
        self.program = runtime.load_program(self.file)
        method = self.program.load_method("forward")
        tensors = [torch.from_numpy(a) for a in feeds.values()]

        def call() -> None:
            self.found = method.execute(tensors)

        self.call = call

    def outputs(self) -> Sequence[Array]:
        return [t.numpy().copy() for t in self.found]


ENGINES: dict[str, type[Engine]] = {
    "whit": Whit,
    "whit-memory": WhitMemory,
    "whit-speed": WhitSpeed,
    "onnxruntime": OnnxRuntime,
    "ort-offline": OrtOffline,
    "openvino": OpenVino,
    "ncnn": Ncnn,
    "mnn": Mnn,
    "litert": LiteRt,
    "executorch": ExecuTorch,
    "reference": Reference,
}


def number(name: str) -> tuple[int, ...]:
    """Converters name inputs and outputs by position (in0, args_1, ..., args_10), and list them in any order."""
    return tuple(map(int, re.findall(r"\d+", name)))


def read_feeds(source: Path) -> Feeds:
    with np.load(source.with_suffix(".npz")) as f:
        return {name: f[name] for name in f.files}


def output_names(source: Path) -> list[str]:
    onnx = importlib.import_module("onnx")
    return [o.name for o in onnx.load(source, load_external_data=False).graph.output]


# ---- memory -----------------------------------------------------------------------------------------------


def status_bytes(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    return 0


def resident_bytes(file: Path) -> int:
    """Of this process's mapping of a file."""
    found, here = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if "-" in words[0]:
            here = words[-1] == str(file)
        elif here and words[0] == "Rss:":
            found += int(words[1]) * 1024
    return found


def once(engine: Engine, feeds: Feeds) -> dict[str, Any]:
    """Nanoseconds of load and first inference, and bytes above the bare import: at the peak, and anonymous at the end."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    before = status_bytes("VmRSS"), status_bytes("RssAnon")
    start = time.perf_counter_ns()
    engine.load(feeds)
    loaded = time.perf_counter_ns()
    engine.call()
    done = time.perf_counter_ns()
    for _ in range(3):
        engine.call()
    return {
        "load_ns": loaded - start,
        "ns": done - start,
        "peak_bytes": status_bytes("VmHWM") - before[0],
        "anonymous_bytes": status_bytes("RssAnon") - before[1],
        "error_of_max": error_now(engine),
        **engine.facts(feeds),
    }


def error_now(engine: Engine) -> float:
    """Of the latest call's outputs, against what onnxruntime without optimisations said."""
    file = Reference(engine.source.stem, 1).file
    with np.load(file) as want:
        return error_of(engine.outputs(), [want[k] for k in want.files])


def error_of(got: Sequence[Array], want: Sequence[Array]) -> float:
    """The largest difference of any output, relative to the largest value of that output; whole numbers must be equal."""
    if len(got) != len(want):
        raise RuntimeError(f"{len(got)} outputs, expected {len(want)}")
    worst = 0.0
    for g, w in zip(got, want, strict=True):
        if g.size != w.size:
            raise RuntimeError(f"an output has shape {g.shape}, expected {w.shape}")
        if w.dtype.kind != "f":
            worst = max(
                worst, 0.0 if np.array_equal(g.reshape(-1), w.reshape(-1)) else float("inf")
            )
            continue
        off = np.abs(g.reshape(-1).astype(np.float64) - w.reshape(-1)).max(initial=0)
        worst = max(worst, float(off) / max(float(np.abs(w).max(initial=0)), 1e-30))
    return worst


# ---- the commands -----------------------------------------------------------------------------------------


def sentence(e: BaseException) -> str:
    text = " ".join(str(e).split())
    return f"{type(e).__name__}: {text[:300]}"


def serve(engine: Engine, feeds: Feeds, say: Callable[[Any], None]) -> None:
    """Each line asks for {"calls": n} -> {"ns": [...]} or {"check": true} -> {"error_of_max": x}."""
    engine.load(feeds)
    engine.call()
    say({"ready": True})
    for line in sys.stdin:
        asked = json.loads(line)
        if "calls" in asked:
            say({"ns": engine.times(asked["calls"])})
        else:
            engine.call()
            say({"error_of_max": error_now(engine)})


def main() -> int:
    command, engine_name, model = sys.argv[1:4]
    threads = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # engines print what they like

    def say(answer: Any) -> None:
        answers.write(json.dumps(answer) + "\n")

    engine = ENGINES[engine_name](model, threads)
    try:
        if command == "prepare":
            engine.file.parent.mkdir(parents=True, exist_ok=True)
            engine.prepare()
            if engine.suffix and not engine.file.exists():
                raise RuntimeError("the converter wrote no file")
            say({})
            return 0
        engine.start()
        feeds = read_feeds(engine.source)
        if command == "once":
            say({"ready": True})
            sys.stdin.readline()
            say(once(engine, feeds))
        else:
            serve(engine, feeds, say)
    except BaseException as e:
        say({"error": sentence(e)})
        if os.environ.get("BENCH_DEBUG"):
            raise
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
