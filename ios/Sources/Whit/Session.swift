import CWhit
import CWhitAtomics
import Dispatch
import Foundation

/// Runs one entry point of a model. Keeps its memory and its plan from run to run: a run with the shapes of the one before
/// plans nothing.
///
/// Any thread may call it; runs of one session come one after another. For runs side by side make several sessions of one
/// model, which cost no second copy of the weights.
public final class Session: @unchecked Sendable {
    /// How a session runs.
    public struct Options: Sendable, Equatable {
        /// Threads to compute with, the caller's included. Results do not depend on it.
        public var threads: Int
        /// Nodes executed in one run before it ends with ``WhitError/Kind/budget``; 0: no limit.
        public var maxSteps: UInt64
        /// Whether to use the processor's vector instructions. Results do not depend on it.
        public var usesVectors: Bool

        /// One thread, no limit, all instructions that the processor has.
        public init(threads: Int = 1, maxSteps: UInt64 = 0, usesVectors: Bool = true) {
            self.threads = threads
            self.maxSteps = maxSteps
            self.usesVectors = usesVectors
        }
    }

    /// Bytes that a session uses.
    public struct Memory: Sendable, Equatable {
        /// Values between the nodes. It grows with the shapes that the session met.
        public let arena: Int
        /// Tables of nodes and values.
        public let instance: Int
        /// Persistent variables.
        public let state: Int
    }

    /// The model it runs.
    public let model: Model
    /// The entry point it runs.
    public let entry: Entry
    /// How it runs.
    public let options: Options
    /// The model's persistent variables.
    public let state: ModelState

    private let instance: Instance
    private let flag: Flag
    private let queue = DispatchQueue(label: "whit.session")

    /// A session for an entry point (nil: the first). `state`: that of another session of the same model, to share it.
    public init(_ model: Model, entry name: String? = nil, options: Options = Options(), state: ModelState? = nil) throws {
        guard options.threads >= 1 && options.threads <= 256 else {
            throw WhitError(.argument, "threads: \(options.threads): expected 1 to 256")
        }
        let kept = try state ?? ModelState(model)
        guard kept.model === model else { throw WhitError(.argument, "the state belongs to another model") }
        let flag = Flag()
        let entry = try model.entry(name)
        instance = try Instance(
            model, entry, state: kept.block, threads: options.threads, maxSteps: options.maxSteps,
            features: options.usesVectors ? Processor.features : 0, cancelled: flag.pointer)
        self.model = model
        self.entry = entry
        self.options = options
        self.state = kept
        self.flag = flag
    }

    // MARK: running

    /// Runs, and returns the outputs by name. Inputs that are tensors are read in place.
    public func run(_ inputs: [String: any ValueConvertible]) throws -> Outputs {
        return try perform(try entry.values(inputs), Ticket())
    }

    /// Runs on a thread of its own and returns the outputs by name. If the task is cancelled, the run ends at the next node and
    /// this throws `CancellationError`.
    public func run(_ inputs: [String: any ValueConvertible]) async throws -> Outputs {
        let values = try entry.values(inputs)
        let ticket = Ticket()
        do {
            return try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Outputs, Error>) in
                    self.queue.async {
                        continuation.resume(with: Result { try self.perform(values, ticket) })
                    }
                }
            } onCancel: {
                self.flag.cancel(ticket)
            }
        } catch let error as WhitError where error.kind == .cancelled && Task.isCancelled {
            throw CancellationError()
        }
    }

    /// Plans for inputs of these shapes, so that the first run need not.
    public func prepare(_ inputs: [String: any ValueConvertible]) throws {
        let values = try entry.values(inputs)
        state.lock.lock()
        defer { state.lock.unlock() }
        try instance.prepare(values)
    }

    /// Ends the run that is under way, if there is one, at the next node: it throws ``WhitError/Kind/cancelled``. From any thread.
    public func cancel() { flag.cancel() }

    /// Nodes executed by the last run. Those of a branch not taken do not count.
    public var steps: UInt64 {
        state.lock.lock()
        defer { state.lock.unlock() }
        return instance.steps
    }

    /// Bytes in use now.
    public var memory: Memory {
        state.lock.lock()
        defer { state.lock.unlock() }
        return Memory(arena: instance.arena.count, instance: instance.tables.count, state: model.stateByteCount)
    }

    // MARK: looking inside

    /// Runs, and hands every tapped value to `body` while the run goes on. If `body` returns false the run ends, and this throws
    /// ``WhitError/Kind/cancelled``. `body` must not use the session, but for ``cancel()``.
    ///
    /// `pattern`: names of nodes (``Model/nodes``), `*` stands for any characters and `?` for one. A node in a loop is seen in
    /// every iteration, one in a branch not taken not at all.
    public func run(
        _ inputs: [String: any ValueConvertible], tap pattern: String, _ body: @escaping (Tap) throws -> Bool
    ) throws -> Outputs {
        return try perform(try entry.values(inputs), Ticket(), tap: pattern, body)
    }

    /// The tapped values of one run, as they come: the run begins when this is called, and ends when nobody listens any more.
    ///
    /// ```swift
    /// for try await tap in session.taps("late/*", running: ["image": image]) {
    ///     print(tap.node, tap.iterations, tap.value)
    /// }
    /// ```
    public func taps(_ pattern: String, running inputs: [String: any ValueConvertible]) -> AsyncThrowingStream<Tap, Error> {
        let ticket = Ticket()
        return AsyncThrowingStream(Tap.self, bufferingPolicy: .unbounded) { continuation in
            continuation.onTermination = { _ in self.flag.cancel(ticket) }
            self.queue.async {
                do {
                    _ = try self.perform(try self.entry.values(inputs), ticket, tap: pattern) { tap in
                        continuation.yield(tap)
                        return true
                    }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
        }
    }

    /// Runs `runs` times and returns for every node that ran its smallest time in one run, the slowest first. Looking at the clock
    /// adds some 50 ns a node.
    public func profile(_ inputs: [String: any ValueConvertible], runs: Int = 10) throws -> [NodeTime] {
        let values = try entry.values(inputs)
        var best = [UInt64](repeating: UInt64.max, count: model.nodeCount)
        var counts = [Int](repeating: 0, count: model.nodeCount)
        for _ in 0..<max(runs, 1) {
            let clock = NodeClock(model.nodeCount)
            _ = try perform(values, Ticket(), NodeObserver { node, after in clock.see(node, after) })
            for k in best.indices where clock.counts[k] > 0 {
                best[k] = min(best[k], clock.nanoseconds[k])
                counts[k] = clock.counts[k]
            }
        }
        return best.indices.filter { counts[$0] > 0 }.sorted { best[$0] > best[$1] }.map { k in
            NodeTime(
                index: k, name: model.nodeName(k), operatorName: model.operatorName(k), runs: counts[k], nanoseconds: best[k])
        }
    }

    // MARK: one run

    private func perform(_ values: [Value], _ ticket: Ticket, _ observer: NodeObserver? = nil) throws -> Outputs {
        state.lock.lock()
        defer { state.lock.unlock() }
        try flag.begin(ticket)
        defer { flag.end() }
        let outputs = try instance.run(values, observer: observer)
        return Outputs(names: entry.outputs.map { $0.name }, values: outputs)
    }

    private func perform(
        _ values: [Value], _ ticket: Ticket, tap pattern: String, _ body: @escaping (Tap) throws -> Bool
    ) throws -> Outputs {
        let wanted = try Tap.nodes(of: model, matching: pattern)
        var failure: Error?  // must not pass through C
        let observer = NodeObserver { node, after in
            guard after && wanted.contains(node) else { return true }
            do {
                return try self.tapped(node, body)
            } catch {
                failure = error
                return false
            }
        }
        do {
            return try perform(values, ticket, observer)
        } catch {
            throw failure ?? error
        }
    }

    /// Hands out the outputs of a node that has just run.
    private func tapped(_ node: Int, _ body: (Tap) throws -> Bool) throws -> Bool {
        let iterations = instance.iterations
        for k in 0..<64 {
            guard let value = try instance.nodeOutput(node, k) else { continue }
            let tap = Tap(
                node: model.nodeName(node), operatorName: model.operatorName(node), index: node, output: k,
                iterations: iterations, value: value)
            if try !body(tap) { return false }
        }
        return true
    }
}

// MARK: - inputs

extension Entry {
    /// Inputs in order, checked against what the entry point takes.
    func values(_ given: [String: any ValueConvertible]) throws -> [Value] {
        for name in given.keys.sorted() where !inputs.contains(where: { $0.name == name }) {
            let known = inputs.map { $0.name }.joined(separator: ", ")
            throw WhitError(.input, "the model has no input '\(name)'; it has \(known.isEmpty ? "none" : known)")
        }
        var sizes: [String: Int] = [:]
        return try inputs.map { port -> Value in
            let value = given[port.name]?.value ?? .absent
            try port.check(value, &sizes)
            return value
        }
    }
}

extension Model.Port {
    /// sizes: what the named dimensions have been so far.
    func check(_ value: Value, _ sizes: inout [String: Int]) throws {
        switch value {
        case .absent:
            guard isOptional else { throw WhitError(.input, "input '\(name)' is missing: expected \(self)") }
        case .sequence(let items):
            guard isSequence else { throw WhitError(.input, "input '\(name)': expected \(self), got a sequence") }
            for item in items where item.elementType != elementType {
                throw unfit(item)
            }
        case .tensor(let tensor):
            guard !isSequence, tensor.elementType == elementType else { throw unfit(tensor) }
            guard let shape = shape else { return }
            guard shape.count == tensor.shape.count else { throw unfit(tensor) }
            for (axis, n) in zip(shape, tensor.shape) {
                switch axis {
                case .fixed(let size):
                    guard size == n else { throw unfit(tensor) }
                case .named(let symbol):
                    let size = sizes[symbol] ?? n
                    guard size == n else {
                        throw WhitError(.input, "input '\(name)': '\(symbol)' is \(n) here, and \(size) in an input before it")
                    }
                    sizes[symbol] = n
                case .unknown:
                    break
                }
            }
        }
    }

    private func unfit(_ tensor: AnyTensor) -> WhitError {
        return WhitError(.input, "input '\(name)': expected \(self), got \(tensor.elementType.name) \(tensor.shape)")
    }
}

// MARK: - cancelling

/// One run, waiting or under way.
final class Ticket: @unchecked Sendable {
    /// Read and written under the lock of ``Flag``.
    fileprivate var isCancelled = false

    init() {}
}

/// What the C code looks at before each node, and which run it is for: cancelling a run that waits must not end another one.
private final class Flag: @unchecked Sendable {
    let pointer: UnsafeMutablePointer<Int32>
    private let lock = NSLock()
    private var current: Ticket?

    init() {
        pointer = UnsafeMutablePointer<Int32>.allocate(capacity: 1)
        pointer.initialize(to: 0)
    }

    deinit { pointer.deallocate() }

    func begin(_ ticket: Ticket) throws {
        lock.lock()
        defer { lock.unlock() }
        if ticket.isCancelled { throw WhitError(.cancelled, "cancelled before it began") }
        current = ticket
        whit_flag_store(pointer, 0)
    }

    func end() {
        lock.lock()
        defer { lock.unlock() }
        current = nil
    }

    func cancel(_ ticket: Ticket) {
        lock.lock()
        defer { lock.unlock() }
        ticket.isCancelled = true
        if current === ticket { whit_flag_store(pointer, 1) }
    }

    /// The run that is under way.
    func cancel() {
        lock.lock()
        defer { lock.unlock() }
        if current != nil { whit_flag_store(pointer, 1) }
    }
}
