/// Element types of tensors, numbered as in ONNX. Types below a byte take one byte an element in memory.
public enum ElementType: UInt8, Sendable, CaseIterable {
    case float32 = 1
    case uint8 = 2
    case int8 = 3
    case uint16 = 4
    case int16 = 5
    case int32 = 6
    case int64 = 7
    case bool = 9
    case float16 = 10
    case float64 = 11
    case uint32 = 12
    case uint64 = 13
    case bfloat16 = 16
    case float8e4m3fn = 17
    case float8e4m3fnuz = 18
    case float8e5m2 = 19
    case float8e5m2fnuz = 20
    case uint4 = 21
    case int4 = 22
    case float4e2m1 = 23
    case float8e8m0 = 24
    case uint2 = 25
    case int2 = 26

    /// Bytes of an element in memory.
    public var byteCount: Int {
        switch self {
        case .int64, .uint64, .float64: return 8
        case .float32, .int32, .uint32: return 4
        case .float16, .bfloat16, .int16, .uint16: return 2
        default: return 1
        }
    }

    /// The name that `whit` uses on the command line and in JSON.
    public var name: String {
        switch self {
        case .float8e4m3fn: return "float8_e4m3fn"
        case .float8e4m3fnuz: return "float8_e4m3fnuz"
        case .float8e5m2: return "float8_e5m2"
        case .float8e5m2fnuz: return "float8_e5m2fnuz"
        case .float4e2m1: return "float4_e2m1fn"
        case .float8e8m0: return "float8_e8m0fnu"
        default: return String(describing: self)
        }
    }
}

/// Swift types that a ``Tensor`` can hold. The conformances are all in this package: a type of your own has no element type.
public protocol TensorScalar: Sendable {
    /// What the runtime calls it.
    static var elementType: ElementType { get }
}

extension Float: TensorScalar { public static var elementType: ElementType { return .float32 } }
extension Double: TensorScalar { public static var elementType: ElementType { return .float64 } }
extension UInt8: TensorScalar { public static var elementType: ElementType { return .uint8 } }
extension Int8: TensorScalar { public static var elementType: ElementType { return .int8 } }
extension UInt16: TensorScalar { public static var elementType: ElementType { return .uint16 } }
extension Int16: TensorScalar { public static var elementType: ElementType { return .int16 } }
extension UInt32: TensorScalar { public static var elementType: ElementType { return .uint32 } }
extension Int32: TensorScalar { public static var elementType: ElementType { return .int32 } }
extension UInt64: TensorScalar { public static var elementType: ElementType { return .uint64 } }
extension Int64: TensorScalar { public static var elementType: ElementType { return .int64 } }
extension Bool: TensorScalar { public static var elementType: ElementType { return .bool } }
#if !((os(macOS) || targetEnvironment(macCatalyst)) && arch(x86_64))  // Swift has no Float16 there
extension Float16: TensorScalar { public static var elementType: ElementType { return .float16 } }
#endif
