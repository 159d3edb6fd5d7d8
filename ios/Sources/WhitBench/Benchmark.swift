import Foundation
import Whit

#if canImport(Darwin)
import Darwin
#elseif canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Android)
import Android
#endif

/// Measures a model on this device, in the way of `whit bench`: some runs are not counted, then every run is timed alone.
public struct Benchmark: Sendable {
    /// Threads to compute with.
    public var threads = 1
    /// Timed runs.
    public var runs = 50
    /// Runs before the timed ones; nil: a tenth of them, and at least 3.
    public var warmup: Int?
    /// Sizes of named dimensions; those that are not named here are 1.
    public var sizes: [String: Int] = [:]

    /// One thread, fifty runs.
    public init() {}

    /// Measures on this thread. `isCancelled` is asked between runs; the error then is `CancellationError`.
    public func measure(contentsOf url: URL, isCancelled: () -> Bool = { false }) throws -> Report {
        var loads: [UInt64] = []
        for _ in 0..<20 {
            let start = whitClock()
            _ = try Model(contentsOf: url)
            loads.append(whitClock() - start)
        }
        let model = try Model(contentsOf: url)
        let session = try Session(model, options: Session.Options(threads: threads))
        let inputs = try MadeUp(sizes).inputs(of: session.entry)
        var start = whitClock()
        try session.prepare(inputs)
        let planned = whitClock() - start
        start = whitClock()
        let first = try session.run(inputs)
        let firstRun = whitClock() - start
        var times: [UInt64] = []
        let uncounted = max(warmup ?? max(runs / 10, 3), 0)
        for k in 0..<(uncounted + max(runs, 1)) {
            if isCancelled() { throw CancellationError() }
            start = whitClock()
            _ = try session.run(inputs)
            if k >= uncounted { times.append(whitClock() - start) }
        }
        let steps = session.steps
        let nodes = try session.profile(inputs).map {
            Report.Node(index: $0.index, operator: $0.operatorName, name: $0.name, runs: $0.runs, ns: $0.nanoseconds)
        }
        guard let load = Statistics(loads), let warm = Statistics(times) else {
            throw BenchmarkError(message: "no run was timed")
        }
        return Report(
            file: url.lastPathComponent, device: Benchmark.device(), shapes: inputs.compactMapValues { $0.value.tensor?.shape },
            threads: threads, runs: warm.count, loadNs: load.median, planNs: planned, firstRunNs: firstRun,
            minNs: warm.minimum, medianNs: warm.median, p95Ns: warm.p95, steps: steps, arenaBytes: session.memory.arena,
            instanceBytes: session.memory.instance, stateBytes: session.memory.state, fileBytes: model.byteCount,
            peakResidentBytes: Benchmark.peakResidentBytes(), residentBytes: 0, anonymousBytes: 0,
            machine: Benchmark.machine, cpu: Processor.names, cpuMhz: [], outputs: Benchmark.fingerprints(first), nodes: nodes,
            operators: Report.sum(nodes))
    }

    private static func fingerprints(_ outputs: Outputs) -> [Report.Output] {
        var found: [Report.Output] = []
        for (name, value) in zip(outputs.names, outputs.values) {
            if let tensor = value.tensor { found.append(fingerprint(name, tensor)) }
            for (k, item) in (value.sequence ?? []).enumerated() { found.append(fingerprint("\(name)[\(k)]", item)) }
        }
        return found
    }

    private static func fingerprint(_ name: String, _ tensor: AnyTensor) -> Report.Output {
        return Report.Output(
            name: name, dtype: tensor.elementType.name, shape: tensor.shape, crc32: tensor.withUnsafeBytes { crc32($0) })
    }

    private static var machine: String {
        #if arch(arm64)
        return "arm64"
        #elseif arch(x86_64)
        return "x86_64"
        #else
        return "unknown"
        #endif
    }

    private static func device() -> String {
        var name = utsname()
        guard uname(&name) == 0 else { return "" }
        return withUnsafeBytes(of: name.machine) { raw in String(decoding: raw.prefix(while: { $0 != 0 }), as: UTF8.self) }
    }

    private static func peakResidentBytes() -> Int {
        #if canImport(Darwin)
        var usage = rusage()
        return getrusage(RUSAGE_SELF, &usage) == 0 ? Int(usage.ru_maxrss) : 0
        #else
        return 0
        #endif
    }
}

/// Inputs that are the same on every machine, and those of `whit_bench`: element k of all of them comes from the k-th number of
/// SplitMix64. 0 or 1 for whole numbers and truth values, evenly from -1 to 1 for others.
struct MadeUp {
    private let sizes: [String: Int]
    private var state: UInt64 = 0

    init(_ sizes: [String: Int]) { self.sizes = sizes }

    mutating func next() -> UInt64 {
        state = state &+ 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    func inputs(of entry: Entry) throws -> [String: any ValueConvertible] {
        var numbers = self
        var made: [String: any ValueConvertible] = [:]
        for port in entry.inputs where !port.isOptional {
            guard let axes = port.shape else {
                throw BenchmarkError(message: "input '\(port.name)': its shape is not known; nothing can be made up for it")
            }
            let shape = axes.map { axis -> Int in
                switch axis {
                case .fixed(let n): return n
                case .named(let name): return sizes[name] ?? 1
                case .unknown: return 1
                }
            }
            let tensor = try numbers.tensor(port, shape)
            made[port.name] = port.isSequence ? Value.sequence([tensor]) : Value.tensor(tensor)
        }
        return made
    }

    private mutating func tensor(_ port: Model.Port, _ shape: [Int]) throws -> AnyTensor {
        let count = shape.reduce(1, *)
        switch port.elementType {
        case .float32:
            let scalars = (0..<count).map { _ in float() }
            return Tensor<Float>(scalars, shape: shape).erased
        case .float64:
            let scalars = (0..<count).map { _ in Double(float()) }
            return Tensor<Double>(scalars, shape: shape).erased
        case .uint8, .int8, .uint16, .int16, .int32, .int64, .uint32, .uint64, .bool, .uint4, .int4, .uint2, .int2:
            let size = port.elementType.byteCount
            var bytes = [UInt8](repeating: 0, count: count * size)
            for k in 0..<count { bytes[k * size] = UInt8(next() >> 63) }
            return bytes.withUnsafeBytes { AnyTensor(elementType: port.elementType, shape: shape, bytes: $0) }
        default:
            throw BenchmarkError(message: "input '\(port.name)': no \(port.elementType.name) numbers can be made up here")
        }
    }

    private mutating func float() -> Float { return Float(next() >> 40) / 8_388_608 - 1 }
}

/// Why a model cannot be measured.
public struct BenchmarkError: LocalizedError, Sendable {
    /// What to do about it.
    public let message: String
    /// The message.
    public var errorDescription: String? { return message }
}
