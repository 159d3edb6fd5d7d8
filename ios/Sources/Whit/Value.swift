/// What an input or output of a model can be.
public enum Value: Sendable, Equatable {
    /// A tensor.
    case tensor(AnyTensor)
    /// A sequence of tensors.
    case sequence([AnyTensor])
    /// An optional without content.
    case absent

    /// The tensor, or nil if it is something else.
    public var tensor: AnyTensor? {
        guard case .tensor(let tensor) = self else { return nil }
        return tensor
    }

    /// The items of the sequence, or nil if it is something else.
    public var sequence: [AnyTensor]? {
        guard case .sequence(let items) = self else { return nil }
        return items
    }
}

/// What can be given to a model: tensors, and ``Value`` for sequences and absent optionals.
public protocol ValueConvertible: Sendable {
    /// The thing as a model's input.
    var value: Value { get }
}

extension Value: ValueConvertible { public var value: Value { return self } }
extension AnyTensor: ValueConvertible { public var value: Value { return .tensor(self) } }
extension Tensor: ValueConvertible { public var value: Value { return .tensor(erased) } }

/// The results of a run, by name.
public struct Outputs: Sendable {
    /// Names, in the model's order.
    public let names: [String]
    /// Values, in the same order.
    public let values: [Value]

    /// The value of a name, or nil if the entry point has no such output.
    public subscript(_ name: String) -> Value? {
        guard let k = names.firstIndex(of: name) else { return nil }
        return values[k]
    }

    /// The output of this name as numbers of one type; throws if there is none, or it is something else.
    ///
    /// ```swift
    /// let y = try outputs.tensor("y", of: Float.self)
    /// ```
    public func tensor<Scalar: TensorScalar>(_ name: String, of scalar: Scalar.Type = Scalar.self) throws -> Tensor<Scalar> {
        guard let found = self[name] else {
            throw WhitError(.argument, "there is no output '\(name)'; there are \(names.joined(separator: ", "))")
        }
        guard let tensor = found.tensor else {
            throw WhitError(.type, "output '\(name)' is \(found == .absent ? "absent" : "a sequence"), not a tensor")
        }
        return try Tensor<Scalar>(tensor)
    }
}
