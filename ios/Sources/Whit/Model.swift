import CWhit
import Foundation

extension Model {
    /// An input or output of an entry point.
    public struct Port: Equatable, Sendable, CustomStringConvertible {
        /// One axis of an input or output.
        public enum Axis: Equatable, Sendable, CustomStringConvertible {
            /// Always so many elements.
            case fixed(Int)
            /// As many as the caller likes, the same wherever the name stands.
            case named(String)
            /// As many as the caller likes.
            case unknown

            /// A number, a name or `?`.
            public var description: String {
                switch self {
                case .fixed(let count): return "\(count)"
                case .named(let name): return name
                case .unknown: return "?"
                }
            }
        }

        /// Its name in the source model.
        public let name: String
        /// The type of its elements.
        public let elementType: ElementType
        /// Its axes, or nil if not even their number is known. Of a sequence: those of its items.
        public let shape: [Axis]?
        /// Whether it is a sequence of tensors.
        public let isSequence: Bool
        /// Whether it may be left out.
        public let isOptional: Bool

        /// `optional float32 [batch, 3]`
        public var description: String {
            let axes = shape.map { $0.map { $0.description }.joined(separator: ", ") } ?? "..."
            let kind = (isOptional ? "optional " : "") + (isSequence ? "sequence of " : "")
            return "\(kind)\(elementType.name) [\(axes)]"
        }
    }
}

/// An entry point: a function of the model.
public struct Entry: Equatable, Sendable {
    /// Its name.
    public let name: String
    /// Its number.
    public let index: Int
    /// What it takes.
    public let inputs: [Model.Port]
    /// What it gives.
    public let outputs: [Model.Port]
}

/// A model file, opened and checked. It never changes: any number of threads and sessions may use one.
///
/// ```swift
/// let model = try Model(contentsOf: Bundle.main.url(forResource: "triple", withExtension: "whit")!)
/// let session = try Session(model)
/// let y = try session.run(["x": Tensor<Float>([14], shape: [1, 1])]).tensor("y", of: Float.self)
/// print(y[0, 0])  // 42
/// ```
public final class Model: Sendable {
    /// The file's name, for messages.
    public let source: String
    /// Entry points; the first is the one that runs if none is named.
    public let entries: [Entry]
    /// Bytes of the file.
    public var byteCount: Int { return opened.bytes.count }
    /// Inputs of the first entry point.
    public var inputs: [Model.Port] { return entries[0].inputs }
    /// Outputs of the first entry point.
    public var outputs: [Model.Port] { return entries[0].outputs }

    private let opened: OpenedModel

    /// What the C functions take. It is good as long as the model is.
    var pointer: UnsafePointer<WhitModel> { return UnsafePointer(opened.pointer) }

    /// Opens a file by mapping it: nothing is copied, and weights are read when a run first needs them. The file must not be
    /// shortened while the model is in use.
    public convenience init(contentsOf url: URL) throws {
        try self.init(ModelBytes(mapping: url), source: url.lastPathComponent)
    }

    /// Opens a model that is in memory; its bytes are copied once.
    public convenience init(data: Data, source: String = "model") throws {
        try self.init(ModelBytes(copying: data), source: source)
    }

    private init(_ bytes: ModelBytes, source: String) throws {
        let opened = try OpenedModel(bytes, source: source)
        self.source = source
        self.opened = opened
        entries = try opened.entries()
    }

    /// The entry point of a name, or the first one; throws if there is none of that name.
    public func entry(_ name: String? = nil) throws -> Entry {
        guard let name = name else { return entries[0] }
        if let found = entries.first(where: { $0.name == name }) { return found }
        let known = entries.map { $0.name }.joined(separator: ", ")
        throw WhitError(.argument, "\(source) has no entry point '\(name)'; it has \(known)")
    }

    /// The nodes of the runtime's program, in the order of execution: what a ``Tap`` and a ``NodeTime`` speak of.
    public var nodes: [(name: String, operatorName: String)] {
        return (0..<nodeCount).map { (name: nodeName($0), operatorName: operatorName($0)) }
    }

    var nodeCount: Int { return Int(pointer.pointee.n_nodes) }
    var stateByteCount: Int { return whit_state_bytes(pointer) }

    func nodeName(_ node: Int) -> String { return String(cString: whit_node_name(pointer, UInt32(node))) }
    func operatorName(_ node: Int) -> String { return String(cString: whit_node_operator(pointer, UInt32(node))) }
}

/// The C structure with the bytes that it points into. Nothing is written after `init`, so that threads may share it.
private final class OpenedModel: @unchecked Sendable {
    let bytes: ModelBytes
    let pointer: UnsafeMutablePointer<WhitModel>

    init(_ bytes: ModelBytes, source: String) throws {
        let pointer = UnsafeMutablePointer<WhitModel>.allocate(capacity: 1)
        memset(pointer, 0, MemoryLayout<WhitModel>.size)
        let status = whit_open(pointer, bytes.pointer, bytes.count)
        guard status.rawValue == 0 else {
            let badOffset = pointer.pointee.bad_offset
            pointer.deallocate()
            throw WhitError.refused(status, source: source, badOffset: badOffset)
        }
        self.bytes = bytes
        self.pointer = pointer
    }

    deinit { pointer.deallocate() }

    func entries() throws -> [Entry] {
        var found: [Entry] = []
        while let name = whit_entry_name(pointer, UInt32(found.count)) {
            let index = found.count
            found.append(
                Entry(
                    name: String(cString: name), index: index, inputs: try ports(index, outputs: 0),
                    outputs: try ports(index, outputs: 1)))
        }
        return found
    }

    private func ports(_ entry: Int, outputs: Int32) throws -> [Model.Port] {
        let count = whit_port_count(pointer, UInt32(entry), outputs)
        return try (0..<count).map { k in try port(UInt32(entry), outputs, k) }
    }

    private func port(_ entry: UInt32, _ outputs: Int32, _ k: UInt32) throws -> Model.Port {
        let place = UnsafeMutablePointer<WhitPortInfo>.allocate(capacity: 1)
        defer { place.deallocate() }
        memset(place, 0, MemoryLayout<WhitPortInfo>.size)
        let status = whit_port_get(pointer, entry, outputs, k, place)
        guard status.rawValue == 0 else { throw WhitError(.argument, WhitError.sentence(status)) }
        let info = place.pointee
        let name = String(cString: info.name)
        guard let type = ElementType(rawValue: info.dtype) else {
            throw WhitError(.type, "'\(name)' has elements of a type (\(info.dtype)) that this version does not know")
        }
        return Model.Port(
            name: name, elementType: type, shape: info.rank > 8 ? nil : OpenedModel.axes(info),
            isSequence: info.kind == 1, isOptional: info.optional != 0)
    }

    private static func axes(_ info: WhitPortInfo) -> [Model.Port.Axis] {
        let counts = withUnsafeBytes(of: info.dims) { raw in Array(raw.bindMemory(to: Int32.self)) }
        let symbols = withUnsafeBytes(of: info.symbols) { raw in
            Array(raw.bindMemory(to: Optional<UnsafePointer<CChar>>.self))
        }
        return (0..<Int(info.rank)).map { a -> Model.Port.Axis in
            if counts[a] >= 0 { return .fixed(Int(counts[a])) }
            guard let symbol = symbols[a], symbol.pointee != 0 else { return .unknown }
            return .named(String(cString: symbol))
        }
    }
}
