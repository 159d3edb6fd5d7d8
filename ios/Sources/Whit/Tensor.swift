import CWhit

/// Memory of a tensor, aligned to a cache line. Whoever makes it writes it; after that nobody does, so that it can be shared.
final class Storage: @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer
    let byteCount: Int

    /// byteCount bytes of zero.
    init(byteCount: Int) {
        self.byteCount = byteCount
        let room = max(byteCount, 1)
        pointer = UnsafeMutableRawPointer.allocate(byteCount: room, alignment: 64)
        pointer.initializeMemory(as: UInt8.self, repeating: 0, count: room)
    }

    deinit { pointer.deallocate() }
}

/// A dense tensor of any element type, the last axis fastest. A value: nobody can change it, copies share its memory.
public struct AnyTensor: Sendable {
    /// The type of its elements.
    public let elementType: ElementType
    /// Its axes; none for a single number.
    public let shape: [Int]
    let storage: Storage

    init(elementType: ElementType, shape: [Int], storage: Storage) {
        self.elementType = elementType
        self.shape = shape
        self.storage = storage
    }

    /// A tensor with a copy of these bytes, in this machine's byte order. It is a programmer's error, and ends the program, if
    /// there are more or fewer bytes than `shape` asks for.
    public init(elementType: ElementType, shape: [Int], bytes: UnsafeRawBufferPointer) {
        let size = AnyTensor.byteCount(elementType, shape)
        precondition(bytes.count == size, "\(bytes.count) bytes for a tensor of shape \(shape), which has \(size)")
        let storage = Storage(byteCount: size)
        UnsafeMutableRawBufferPointer(start: storage.pointer, count: size).copyMemory(from: bytes)
        self.init(elementType: elementType, shape: shape, storage: storage)
        makeTruthsExact()
    }

    /// Number of its elements.
    public var count: Int { return shape.reduce(1, *) }

    /// Calls `body` with its bytes. The pointer is good until `body` returns.
    public func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        defer { withExtendedLifetime(storage) {} }
        return try body(UnsafeRawBufferPointer(start: UnsafeRawPointer(storage.pointer), count: storage.byteCount))
    }

    static func byteCount(_ elementType: ElementType, _ shape: [Int]) -> Int {
        precondition(shape.count <= 8, "a tensor has at most 8 axes, not \(shape.count)")
        var count = 1
        for n in shape {
            precondition(n >= 0 && n <= Int(Int32.max), "an axis of \(n) elements in shape \(shape)")
            count *= n
            precondition(count <= Int(Int32.max), "a tensor has fewer than 2^31 elements, unlike \(shape)")
        }
        return count * elementType.byteCount
    }

    /// Swift allows a Bool to be 0 or 1 and nothing else; a file may hold others.
    func makeTruthsExact() {
        guard elementType == .bool else { return }
        let bytes = UnsafeMutableRawBufferPointer(start: storage.pointer, count: storage.byteCount)
        for k in bytes.indices where bytes[k] > 1 { bytes[k] = 1 }
    }
}

extension AnyTensor: Equatable {
    /// The same type, shape and bits.
    public static func == (a: AnyTensor, b: AnyTensor) -> Bool {
        guard a.elementType == b.elementType && a.shape == b.shape else { return false }
        return a.withUnsafeBytes { x in b.withUnsafeBytes { y in x.elementsEqual(y) } }
    }
}

extension AnyTensor {
    /// A dense copy of what C describes.
    init(copying t: WhitTensor) throws {
        guard t.kind == 0, t.rank <= 8, let type = ElementType(rawValue: t.dtype) else {
            throw WhitError(.unsupported, "a value that is no tensor (kind \(t.kind), type \(t.dtype)) cannot be read")
        }
        let rank = Int(t.rank)
        let shape = AnyTensor.numbers(t.shape, rank)
        let stride = AnyTensor.numbers(t.stride, rank)
        let storage = Storage(byteCount: AnyTensor.byteCount(type, shape))
        self.init(elementType: type, shape: shape, storage: storage)
        guard count > 0 else { return }
        guard let source = t.data else { throw WhitError(.unsupported, "a value was read before it was computed") }
        AnyTensor.copy(UnsafeRawPointer(source), shape, stride, type.byteCount, to: storage.pointer)
        makeTruthsExact()
    }

    /// The first numbers of a C array, which Swift sees as a tuple.
    private static func numbers<Tuple>(_ tuple: Tuple, _ count: Int) -> [Int] {
        return Swift.withUnsafeBytes(of: tuple) { raw in
            raw.bindMemory(to: Int32.self).prefix(count).map { Int($0) }
        }
    }

    /// Copies rows of the last axis if they are dense, else single elements.
    private static func copy(
        _ source: UnsafeRawPointer, _ shape: [Int], _ stride: [Int], _ size: Int, to target: UnsafeMutableRawPointer
    ) {
        let last = shape.count - 1
        let denseRows = last >= 0 && (stride[last] == 1 || shape[last] == 1)
        let axes = denseRows ? last : shape.count
        let row = (denseRows ? shape[last] : 1) * size
        var index = [Int](repeating: 0, count: axes)
        var at = target
        while true {
            var offset = 0
            for a in 0..<axes { offset += index[a] * stride[a] }
            at.copyMemory(from: source + offset * size, byteCount: row)
            at += row
            var a = axes - 1
            while a >= 0 {
                index[a] += 1
                if index[a] < shape[a] { break }
                index[a] = 0
                a -= 1
            }
            if a < 0 { return }
        }
    }
}

/// A dense tensor of Swift numbers, the last axis fastest. A value: nobody can change it, copies share its memory.
///
/// ```swift
/// let x = Tensor<Float>([1, 2, 3, 4], shape: [2, 2])
/// print(x[1, 0])  // 3
/// ```
public struct Tensor<Scalar: TensorScalar>: Sendable {
    /// The same tensor, its type not known to the compiler.
    public let erased: AnyTensor

    /// A tensor of these numbers. It is a programmer's error, and ends the program, if they are more or fewer than `shape` asks
    /// for. Without a shape it has one axis.
    public init(_ scalars: [Scalar], shape: [Int]? = nil) {
        erased = scalars.withUnsafeBytes { bytes in
            AnyTensor(elementType: Scalar.elementType, shape: shape ?? [scalars.count], bytes: bytes)
        }
    }

    /// A single number, which has no axes.
    public init(scalar: Scalar) {
        self.init([scalar], shape: [])
    }

    /// A tensor whose elements `body` writes; they are zero before.
    public init(shape: [Int], initializedWith body: (UnsafeMutableBufferPointer<Scalar>) throws -> Void) rethrows {
        let storage = Storage(byteCount: AnyTensor.byteCount(Scalar.elementType, shape))
        let tensor = AnyTensor(elementType: Scalar.elementType, shape: shape, storage: storage)
        let count = tensor.count
        try body(UnsafeMutableBufferPointer(start: storage.pointer.bindMemory(to: Scalar.self, capacity: count), count: count))
        erased = tensor
    }

    /// The tensor as one of Swift numbers, without a copy; throws if its elements are of another type.
    public init(_ tensor: AnyTensor) throws {
        guard tensor.elementType == Scalar.elementType else {
            throw WhitError(.type, "the tensor has elements of type \(tensor.elementType.name), not \(Scalar.elementType.name)")
        }
        erased = tensor
    }

    /// Its axes; none for a single number.
    public var shape: [Int] { return erased.shape }
    /// Number of its elements.
    public var count: Int { return erased.count }
    /// Its elements in order, copied.
    public var scalars: [Scalar] { return withUnsafeBufferPointer { Array($0) } }

    /// Calls `body` with its elements. The pointer is good until `body` returns.
    public func withUnsafeBufferPointer<Result>(_ body: (UnsafeBufferPointer<Scalar>) throws -> Result) rethrows -> Result {
        return try erased.withUnsafeBytes { bytes in try body(bytes.bindMemory(to: Scalar.self)) }
    }

    /// One element: as many indices as there are axes. An index out of range is a programmer's error, as with arrays.
    public subscript(_ indices: Int...) -> Scalar {
        precondition(indices.count == shape.count, "\(indices.count) indices for \(shape.count) axes")
        var at = 0
        for (index, n) in zip(indices, shape) {
            precondition(index >= 0 && index < n, "index \(index) in an axis of \(n)")
            at = at * n + index
        }
        return withUnsafeBufferPointer { $0[at] }
    }
}

extension Tensor: Equatable where Scalar: Equatable {
    /// The same shape and bits. (Two NaN of the same bits are equal, 0 and -0 are not.)
    public static func == (a: Tensor, b: Tensor) -> Bool { return a.erased == b.erased }
}

extension Tensor: CustomStringConvertible {
    /// Type, shape and the first elements.
    public var description: String {
        let first = scalars.prefix(16).map { String(describing: $0) }.joined(separator: ", ")
        return "\(Scalar.elementType.name) \(shape): \(first)\(count > 16 ? ", ..." : "")"
    }
}
