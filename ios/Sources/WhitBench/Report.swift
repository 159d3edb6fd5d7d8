import Foundation

/// What was measured, as JSON with the keys of `whit bench --json`.
public struct Report: Codable, Equatable, Sendable {
    /// An output of the first run, so that two machines can be compared.
    public struct Output: Codable, Equatable, Sendable {
        /// The output's name; of an item of a sequence with its number.
        public let name: String
        /// The type of its elements.
        public let dtype: String
        /// Its axes.
        public let shape: [Int]
        /// The checksum of its bytes: the same on every machine, or a bug.
        public let crc32: UInt32
    }

    /// A node's time in one run.
    public struct Node: Codable, Equatable, Sendable {
        /// Its number in the runtime's program.
        public let index: Int
        /// The runtime's operator.
        public let `operator`: String
        /// Its name in the source model.
        public let name: String
        /// How often it ran.
        public let runs: Int
        /// Nanoseconds of all of them.
        public let ns: UInt64
    }

    /// The time of all nodes with one operator in one run.
    public struct Operator: Codable, Equatable, Sendable {
        /// The runtime's operator.
        public let `operator`: String
        /// Empty: kinds of an operator are told apart by `whit bench` alone.
        public let kind: String
        /// Nodes that ran.
        public let nodes: Int
        /// How often they ran.
        public let runs: Int
        /// Nanoseconds of all of them.
        public let ns: UInt64
    }

    /// The model's file.
    public let file: String
    /// The system's name of this kind of device, such as `iPhone15,2`.
    public let device: String
    /// Shapes of the inputs.
    public let shapes: [String: [Int]]
    /// Threads that computed.
    public let threads: Int
    /// Timed runs.
    public let runs: Int
    /// Mapping the file and checking it: the median of 20.
    public let loadNs: Double
    /// Planning for the shapes.
    public let planNs: UInt64
    /// The first run, which reads the weights.
    public let firstRunNs: UInt64
    /// The run that nothing disturbed.
    public let minNs: UInt64
    /// The middle run.
    public let medianNs: Double
    /// What 19 of 20 runs do not exceed.
    public let p95Ns: UInt64
    /// Nodes executed in a run.
    public let steps: UInt64
    /// Memory for values between the nodes.
    public let arenaBytes: Int
    /// Memory for tables.
    public let instanceBytes: Int
    /// Memory for persistent variables.
    public let stateBytes: Int
    /// Bytes of the model's file.
    public let fileBytes: Int
    /// The most memory that the process had; 0 where the system was not asked.
    public let peakResidentBytes: Int
    /// 0: the system was not asked.
    public let residentBytes: Int
    /// 0: the system was not asked.
    public let anonymousBytes: Int
    /// The processor's architecture.
    public let machine: String
    /// Instruction sets in use.
    public let cpu: [String]
    /// Empty: Apple's systems do not tell.
    public let cpuMhz: [Int]
    /// The first run's outputs.
    public let outputs: [Output]
    /// Nodes, the slowest first.
    public let nodes: [Node]
    /// Operators, the slowest first.
    public let operators: [Operator]

    enum CodingKeys: String, CodingKey {
        case file, device, shapes, threads, runs, steps, machine, cpu, outputs, nodes, operators
        case loadNs = "load_ns"
        case planNs = "plan_ns"
        case firstRunNs = "first_run_ns"
        case minNs = "min_ns"
        case medianNs = "median_ns"
        case p95Ns = "p95_ns"
        case arenaBytes = "arena_bytes"
        case instanceBytes = "instance_bytes"
        case stateBytes = "state_bytes"
        case fileBytes = "file_bytes"
        case peakResidentBytes = "peak_resident_bytes"
        case residentBytes = "resident_bytes"
        case anonymousBytes = "anonymous_bytes"
        case cpuMhz = "cpu_mhz"
    }

    /// The JSON text.
    public func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(self)
    }

    /// Nodes summed by operator, the slowest first.
    static func sum(_ nodes: [Node]) -> [Operator] {
        var sums: [String: Operator] = [:]
        for node in nodes {
            let old = sums[node.operator]
            sums[node.operator] = Operator(
                operator: node.operator, kind: "", nodes: (old?.nodes ?? 0) + 1, runs: (old?.runs ?? 0) + node.runs,
                ns: (old?.ns ?? 0) + node.ns)
        }
        return sums.values.sorted { $0.ns == $1.ns ? $0.operator < $1.operator : $0.ns > $1.ns }
    }
}
