import Foundation

/// What was measured, as JSON with the keys of `whit bench --json`.
public struct Report: Codable, Equatable, Sendable {
    /// The first run's output, so that two machines can be compared.
    public struct Output: Codable, Equatable, Sendable {
        public let name: String
        public let dtype: String
        public let shape: [Int]
        public let crc32: UInt32
    }

    /// A node's time in one run.
    public struct Node: Codable, Equatable, Sendable {
        public let index: Int
        public let `operator`: String
        public let name: String
        public let runs: Int
        public let ns: UInt64
    }

    /// The time of all nodes with one operator in one run.
    public struct Operator: Codable, Equatable, Sendable {
        public let `operator`: String
        public let kind: String
        public let nodes: Int
        public let runs: Int
        public let ns: UInt64
    }

    public let file: String
    /// The system's name of this kind of device, such as `iPhone15,2`.
    public let device: String
    public let shapes: [String: [Int]]
    public let threads: Int
    public let runs: Int
    public let loadNs: Double
    public let planNs: UInt64
    public let firstRunNs: UInt64
    public let minNs: UInt64
    public let medianNs: Double
    public let p95Ns: UInt64
    public let steps: UInt64
    public let arenaBytes: Int
    public let instanceBytes: Int
    public let stateBytes: Int
    public let fileBytes: Int
    /// 0: the system was not asked, here and in the two that follow.
    public let peakResidentBytes: Int
    public let residentBytes: Int
    public let anonymousBytes: Int
    public let machine: String
    public let cpu: [String]
    public let cpuMhz: [Int]
    public let outputs: [Output]
    public let nodes: [Node]
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
