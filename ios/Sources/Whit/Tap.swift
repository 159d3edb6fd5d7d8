import Foundation

/// A value that a node has just computed, copied.
///
/// Nodes are those of the runtime's program: what the converter fused is one node, and images lie with their channels last.
/// `model.run(..., tap=...)` in Python undoes both, and gives any value of the source model.
public struct Tap: Sendable {
    /// The node's name in the source model.
    public let node: String
    /// The runtime's operator.
    public let operatorName: String
    /// The node's number in ``Model/nodes``.
    public let index: Int
    /// Which of the node's outputs it is.
    public let output: Int
    /// Iterations, from 0, of the loops around the node, the outermost first.
    public let iterations: [Int]
    /// The value.
    public let value: Value

    /// Numbers of the nodes whose names fit; throws if there are none.
    static func nodes(of model: Model, matching pattern: String) throws -> Set<Int> {
        let wanted = Array(pattern)
        let found = (0..<model.nodeCount).filter { fits(Array(model.nodeName($0)), wanted) }
        if found.isEmpty {
            let isStripped = (0..<model.nodeCount).allSatisfy { model.nodeName($0).isEmpty }
            let hint = isStripped ? "the model has no names (it was converted with strip)" : "Model.nodes lists them"
            throw WhitError(.argument, "no node is called '\(pattern)': \(hint)")
        }
        return Set(found)
    }

    /// Whether a name fits a pattern of characters, `*` and `?`.
    static func fits(_ name: [Character], _ pattern: [Character]) -> Bool {
        var n = 0
        var p = 0
        var star: (p: Int, n: Int)?  // where to go on if the rest does not fit: the last * takes one character more
        while n < name.count {
            if p < pattern.count && pattern[p] == "*" {
                star = (p: p, n: n)
                p += 1
            } else if p < pattern.count && (pattern[p] == "?" || pattern[p] == name[n]) {
                p += 1
                n += 1
            } else if let last = star {
                star = (p: last.p, n: last.n + 1)
                p = last.p + 1
                n = last.n + 1
            } else {
                return false
            }
        }
        while p < pattern.count && pattern[p] == "*" { p += 1 }
        return p == pattern.count
    }
}

/// The time of a node in one run.
public struct NodeTime: Sendable, Equatable {
    /// The node's number in ``Model/nodes``.
    public let index: Int
    /// The node's name in the source model.
    public let name: String
    /// The runtime's operator.
    public let operatorName: String
    /// How often it ran: more than once in a loop.
    public let runs: Int
    /// The time of all of them; that of a control node does not contain its branches and iterations.
    public let nanoseconds: UInt64
}

/// Adds up the time of each node of one run.
final class NodeClock {
    private(set) var nanoseconds: [UInt64]
    private(set) var counts: [Int]
    private var running: [(start: UInt64, inside: UInt64)] = []

    init(_ nodeCount: Int) {
        nanoseconds = [UInt64](repeating: 0, count: nodeCount)
        counts = [Int](repeating: 0, count: nodeCount)
        running.reserveCapacity(20)
    }

    func see(_ node: Int, _ after: Bool) -> Bool {
        if !after {
            running.append((start: whitClock(), inside: 0))
            return true
        }
        let now = whitClock()
        guard let own = running.popLast() else { return true }
        let total = now - own.start
        nanoseconds[node] += total - min(own.inside, total)
        counts[node] += 1
        if let around = running.indices.last { running[around].inside += total }
        return true
    }
}
