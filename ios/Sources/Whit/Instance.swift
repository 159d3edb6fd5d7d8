import CWhit
import CWhitAtomics
import Dispatch

/// Bytes that the runtime works in, aligned for any use it has.
final class Block {
    let pointer: UnsafeMutableRawPointer
    let count: Int

    init(_ count: Int) {
        self.count = (max(count, 1) + 63) / 64 * 64
        pointer = UnsafeMutableRawPointer.allocate(byteCount: self.count, alignment: 64)
    }

    deinit { pointer.deallocate() }
}

/// Sees nodes while they run: number, and whether it is after the node. What it returns says whether to go on.
final class NodeObserver {
    let see: (_ node: Int, _ after: Bool) -> Bool

    init(_ see: @escaping (_ node: Int, _ after: Bool) -> Bool) { self.see = see }
}

/// A C instance with its memory, planned for the shapes it met last. Belongs to one thread at a time: its session's lock sees to
/// that.
final class Instance {
    let model: Model
    let entry: Entry
    private(set) var handle: OpaquePointer
    private(set) var arena = Block(64)
    private var plannedBytes = 0
    let tables: Block
    private let state: Block?
    private let host: UnsafeMutablePointer<WhitHost>
    private let threads: UnsafeMutablePointer<UInt32>
    private let cancelled: UnsafeMutablePointer<Int32>
    private var plan: [[Int]]?
    private var planned: [(type: ElementType, shape: [Int])?] = []

    /// cancelled: non-zero ends a run; it must live as long as the instance.
    init(
        _ model: Model, _ entry: Entry, state: Block?, threads: Int, maxSteps: UInt64, features: UInt32,
        cancelled: UnsafeMutablePointer<Int32>
    ) throws {
        let tables = Block(whit_instance_bytes(model.pointer))
        let host = UnsafeMutablePointer<WhitHost>.allocate(capacity: 1)
        let count = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
        count.initialize(to: UInt32(threads))
        var lent = WhitHost()
        lent.cpu = features
        lent.max_steps = maxSteps
        lent.n_threads = UInt32(threads)
        lent.cancel = UnsafePointer(cancelled)
        if threads > 1 {
            lent.context = UnsafeMutableRawPointer(count)
            lent.parallel_for = { context, work, argument, n in
                Pieces.share(n, threads: context, work: work, argument: argument)
            }
        }
        host.initialize(to: lent)
        guard let handle = whit_instance_init(tables.pointer, tables.count, model.pointer, UInt32(entry.index), host) else {
            host.deallocate()
            count.deallocate()
            throw WhitError(.argument, "the runtime refused to make an instance")
        }
        self.model = model
        self.entry = entry
        self.handle = handle
        self.tables = tables
        self.state = state
        self.host = host
        self.threads = count
        self.cancelled = cancelled
        try attachState()
    }

    deinit {
        host.deallocate()
        threads.deallocate()
    }

    private func check(_ status: WhitStatus) throws {
        guard status.rawValue == 0 else { throw WhitError.failed(status, instance: handle, model: model.pointer) }
    }

    private func attachState() throws {
        guard let state = state else { return }
        try check(whit_state_set(handle, state.pointer, state.count, 0))
    }

    /// After an error: begins anew in the same memory.
    private func restart() throws {
        plan = nil
        planned = []
        guard
            let made = whit_instance_init(tables.pointer, tables.count, model.pointer, UInt32(entry.index), host)
        else { throw WhitError(.argument, "the runtime refused to make an instance") }
        handle = made
        try attachState()
    }

    // MARK: running

    /// The outputs for these inputs, which are as many as the entry point has and of the right kinds.
    func run(_ inputs: [Value], observer: NodeObserver? = nil) throws -> [Value] {
        defer { withExtendedLifetime(inputs) {} }
        let items = SequenceItems()
        do {
            try prepare(inputs, items)
            let outputs = try bind()
            if let observer = observer { watch(observer) }
            defer {
                whit_observe(handle, nil, nil)
                withExtendedLifetime((observer, items)) {}
            }
            var status = whit_run(handle)
            while status.rawValue == WHIT_E_MEMORY.rawValue {
                try grow()
                status = whit_run(handle)
            }
            if status.rawValue == WHIT_STOPPED.rawValue { throw WhitError(.cancelled, "stopped by who was looking on") }
            try check(status)
            return try collect(outputs)
        } catch {
            try restart()
            throw error
        }
    }

    /// Gives the inputs, and plans if their shapes are new.
    func prepare(_ inputs: [Value]) throws {
        let items = SequenceItems()
        do {
            try prepare(inputs, items)
        } catch {
            try restart()
            throw error
        }
        withExtendedLifetime(items) {}
    }

    private func prepare(_ inputs: [Value], _ items: SequenceItems) throws {
        let wanted = inputs.map { Instance.key($0) }
        for (k, input) in inputs.enumerated() { try set(UInt32(k), input, items) }
        if plan == wanted { return }
        plan = nil
        for k in 0..<entry.outputs.count { try check(whit_output_bind(handle, UInt32(k), nil, 0)) }
        var n = 0
        try check(whit_plan(handle, &n))
        plannedBytes = n
        if n > arena.count { arena = Block(n) }
        try check(whit_arena_set(handle, arena.pointer, arena.count))
        planned = []
        for k in 0..<entry.outputs.count { planned.append(plannedOutput(k)) }
        plan = wanted
    }

    private static func key(_ value: Value) -> [Int] {
        switch value {
        case .tensor(let tensor): return tensor.shape
        case .sequence: return [-1]
        case .absent: return [-2]
        }
    }

    private func set(_ k: UInt32, _ input: Value, _ items: SequenceItems) throws {
        switch input {
        case .tensor(let tensor):
            let dims = tensor.shape.map { Int32($0) }
            let type = Int32(tensor.elementType.rawValue)
            try check(whit_input_set(handle, k, type, Int32(dims.count), dims, UnsafeRawPointer(tensor.storage.pointer)))
        case .sequence(let tensors):
            try check(whit_input_sequence(handle, k, items.add(tensors), UInt32(tensors.count)))
        case .absent:
            try check(whit_input_absent(handle, k))
        }
    }

    /// Type and shape of an output that runs can write straight into memory of ours, or nil.
    private func plannedOutput(_ k: Int) -> (type: ElementType, shape: [Int])? {
        guard let output = whit_output(handle, UInt32(k)) else { return nil }
        let t = output.pointee
        guard t.kind == 0, t.rank <= 8, let type = ElementType(rawValue: t.dtype) else { return nil }
        let shape = withUnsafeBytes(of: t.shape) { raw in
            raw.bindMemory(to: Int32.self).prefix(Int(t.rank)).map { Int($0) }
        }
        let probe = Storage(byteCount: AnyTensor.byteCount(type, shape))
        let status = whit_output_bind(handle, UInt32(k), probe.pointer, probe.byteCount)
        return status.rawValue == 0 ? (type: type, shape: shape) : nil
    }

    /// New tensors that the next run writes; nil where the plan does not know the shape.
    private func bind() throws -> [AnyTensor?] {
        var made: [AnyTensor?] = []
        for (k, output) in planned.enumerated() {
            guard let output = output else {
                made.append(nil)
                continue
            }
            let storage = Storage(byteCount: AnyTensor.byteCount(output.type, output.shape))
            try check(whit_output_bind(handle, UInt32(k), storage.pointer, storage.byteCount))
            made.append(AnyTensor(elementType: output.type, shape: output.shape, storage: storage))
        }
        return made
    }

    private func collect(_ outputs: [AnyTensor?]) throws -> [Value] {
        var values: [Value] = []
        for (k, output) in outputs.enumerated() {
            if let output = output {
                output.makeTruthsExact()
                values.append(.tensor(output))
            } else if let t = whit_output(handle, UInt32(k)) {
                values.append(try read(t))
            }
        }
        return values
    }

    private func grow() throws {
        let needed = whit_arena_needed(handle)
        let larger = Block(needed + max((needed - plannedBytes) / 2, 1024))  // half as much again of what the plan did not foresee
        larger.pointer.copyMemory(from: arena.pointer, byteCount: arena.count)
        try check(whit_arena_set(handle, larger.pointer, larger.count))
        arena = larger
    }

    // MARK: looking inside

    private func watch(_ observer: NodeObserver) {
        let context = Unmanaged.passUnretained(observer).toOpaque()
        whit_observe(
            handle,
            { context, _, node, after in
                guard let context = context else { return 0 }
                let observer = Unmanaged<NodeObserver>.fromOpaque(context).takeUnretainedValue()
                return observer.see(Int(node), after != 0) ? 0 : 1
            }, context)
    }

    /// A copy of a value of any kind. While a run is under way, or after it.
    func read(_ t: UnsafePointer<WhitTensor>) throws -> Value {
        switch t.pointee.kind {
        case 0:
            return .tensor(try AnyTensor(copying: t.pointee))
        case 1:
            var items: [AnyTensor] = []
            for k in 0..<UInt32(max(t.pointee.shape.0, 0)) {
                var item = WhitTensor()
                try check(whit_sequence_at(handle, t, k, &item))
                items.append(try AnyTensor(copying: item))
            }
            return .sequence(items)
        default:
            return .absent
        }
    }

    /// Output number k of a node, if it has been computed.
    func nodeOutput(_ node: Int, _ k: Int) throws -> Value? {
        guard let t = whit_node_value(handle, UInt32(node), 1, UInt32(k)) else { return nil }
        if t.pointee.kind == 0 && t.pointee.data == nil { return nil }
        return try read(t)
    }

    /// Iterations, from 0, of the loops around the node that runs now, the outermost first.
    var iterations: [Int] {
        return (0..<whit_loop_depth(handle)).map { Int(whit_loop_iteration(handle, $0)) }
    }

    /// Nodes executed by the last run.
    var steps: UInt64 { return whit_steps(handle) }
}

/// What `whit_input_sequence` takes, kept until the run is over.
private final class SequenceItems {
    private var arrays: [UnsafeMutablePointer<WhitTensor>] = []

    deinit { for array in arrays { array.deallocate() } }

    func add(_ tensors: [AnyTensor]) -> UnsafeMutablePointer<WhitTensor> {
        let array = UnsafeMutablePointer<WhitTensor>.allocate(capacity: max(tensors.count, 1))
        for (k, tensor) in tensors.enumerated() { (array + k).initialize(to: SequenceItems.describe(tensor)) }
        arrays.append(array)
        return array
    }

    private static func describe(_ tensor: AnyTensor) -> WhitTensor {
        var t = WhitTensor()
        t.data = tensor.storage.pointer
        t.dtype = tensor.elementType.rawValue
        t.rank = UInt8(tensor.shape.count)
        var stride: Int32 = 1
        for a in tensor.shape.indices.reversed() {
            let n = Int32(tensor.shape[a])
            let at = stride
            withUnsafeMutableBytes(of: &t.shape) { $0.storeBytes(of: n, toByteOffset: a * 4, as: Int32.self) }
            withUnsafeMutableBytes(of: &t.stride) { $0.storeBytes(of: at, toByteOffset: a * 4, as: Int32.self) }
            stride = stride &* n
        }
        return t
    }
}

/// Work that a node has divided, done by several threads of the system's pool.
///
/// `concurrentPerform` and no threads of our own: it takes the caller's priority with it, prefers fast cores, starts no more
/// threads than the machine has use for, and nothing spins while a phone has nothing to do.
private struct Pieces: @unchecked Sendable {
    typealias Work = @convention(c) (UnsafeMutableRawPointer?, UInt32) -> Void

    let work: Work
    let argument: UnsafeMutableRawPointer?
    let count: UInt32
    let next: UnsafeMutablePointer<UInt32>

    /// threads: points to how many to use, the caller's included.
    static func share(_ n: UInt32, threads: UnsafeMutableRawPointer?, work: @escaping Work, argument: UnsafeMutableRawPointer?) {
        let limit = threads.map { $0.load(as: UInt32.self) } ?? 1
        let next = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
        next.initialize(to: 0)
        defer { next.deallocate() }
        let pieces = Pieces(work: work, argument: argument, count: n, next: next)
        DispatchQueue.concurrentPerform(iterations: Int(min(limit, n))) { _ in pieces.doSome() }
    }

    /// Takes pieces until none is left: whoever is quicker does more.
    private func doSome() {
        while true {
            let k = whit_counter_next(next)
            if k >= count { return }
            work(argument, k)
        }
    }
}
