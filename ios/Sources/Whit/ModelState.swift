import CWhit
import Foundation

/// The persistent variables of a model: what it remembers from run to run. Every session has one of its own unless it is given
/// one; sessions for several entry points of a model may share one, and then run one at a time.
public final class ModelState: @unchecked Sendable {
    /// The model whose variables these are.
    public let model: Model

    /// Held by whoever runs with the state, or reads or writes it.
    let lock = NSLock()
    /// Nil if the model has no persistent variables.
    let block: Block?

    /// The initial values.
    public init(_ model: Model) throws {
        self.model = model
        let count = model.stateByteCount
        block = count > 0 ? Block(count) : nil
        try writeInitialValues()
    }

    /// Gives every variable its initial value.
    public func reset() throws {
        lock.lock()
        defer { lock.unlock() }
        try writeInitialValues()
    }

    /// A copy of all variables, to be given to ``restore(_:)`` later, with the same model file. Empty if there are none.
    public func save() -> Data {
        lock.lock()
        defer { lock.unlock() }
        guard let block = block else { return Data() }
        return Data(bytes: block.pointer, count: model.stateByteCount)
    }

    /// Takes up what ``save()`` gave.
    public func restore(_ data: Data) throws {
        lock.lock()
        defer { lock.unlock() }
        let count = model.stateByteCount
        guard data.count == count else {
            throw WhitError(.argument, "\(model.source) has \(count) bytes of state, the data has \(data.count)")
        }
        guard let block = block else { return }
        data.copyBytes(to: UnsafeMutableRawBufferPointer(start: block.pointer, count: count))
    }

    /// An instance knows how; one that lives for this call.
    private func writeInitialValues() throws {
        guard let block = block else { return }
        let tables = Block(whit_instance_bytes(model.pointer))
        guard let instance = whit_instance_init(tables.pointer, tables.count, model.pointer, 0, nil) else {
            throw WhitError(.argument, "the runtime refused to make an instance")
        }
        let status = whit_state_set(instance, block.pointer, block.count, 1)
        guard status.rawValue == 0 else { throw WhitError(WhitError.kind(of: status), WhitError.sentence(status)) }
        withExtendedLifetime(tables) {}
    }
}
