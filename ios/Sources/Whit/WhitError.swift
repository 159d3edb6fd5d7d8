import CWhit
import Foundation

/// What went wrong: a sentence for people, and fields for programs.
public struct WhitError: LocalizedError, Equatable, Sendable {
    /// Kinds of error. Those of the C runtime are explained in `whit.h`.
    public enum Kind: String, Sendable, CaseIterable {
        /// A file that cannot be read.
        case file
        /// An argument is out of range.
        case argument
        /// An input is missing, or has the wrong type or shape.
        case input
        /// Not a `.whit` file, or a damaged one.
        case format
        /// Written for a newer runtime.
        case version
        /// This build of the runtime lacks an operator of the model.
        case operatorMissing
        /// Memory that the runtime was given is too small or not aligned.
        case memory
        /// A tensor has more elements than the runtime can index.
        case size
        /// Shapes do not fit.
        case shape
        /// An element type does not fit.
        case type
        /// An index is out of range.
        case index
        /// A value is out of range.
        case value
        /// The run was cancelled.
        case cancelled
        /// The step budget (``Session/Options/maxSteps``) is used up.
        case budget
        /// Not supported.
        case unsupported
    }

    /// What kind of error it is.
    public let kind: Kind
    /// What was expected, what was found, what to try.
    public let message: String
    /// Name of the source model's node where it happened, if it happened in one (`#12` if names were stripped).
    public let node: String?
    /// The runtime's operator of that node; for ``Kind/operatorMissing`` what is missing.
    public let operatorName: String?
    /// For ``Kind/format``: the byte of the file that is wrong.
    public let offset: Int?

    init(_ kind: Kind, _ message: String, node: String? = nil, operatorName: String? = nil, offset: Int? = nil) {
        self.kind = kind
        self.message = message
        self.node = node
        self.operatorName = operatorName
        self.offset = offset
    }

    /// Node and message in one sentence.
    public var errorDescription: String? {
        guard let node = node else { return message }
        guard let name = operatorName, !name.isEmpty else { return "node '\(node)': \(message)" }
        return "node '\(node)' (\(name)): \(message)"
    }
}

extension WhitError {
    /// The sentence of a status, with its cause if there is one.
    static func sentence(_ status: WhitStatus, cause: String = "") -> String {
        let text = String(cString: whit_status_text(status))
        return cause.isEmpty || cause == text ? text : "\(text): \(cause)"
    }

    static func kind(of status: WhitStatus) -> Kind {
        switch Int(status.rawValue) {  // numbers of whit.h, which never change
        case 0x11: return .input
        case 0x13, 0x30: return .memory
        case 0x20: return .format
        case 0x21: return .version
        case 0x22: return .operatorMissing
        case 0x31: return .size
        case 0x40: return .shape
        case 0x41: return .type
        case 0x42: return .index
        case 0x43: return .value
        case 0x44: return .cancelled
        case 0x45: return .budget
        case 0x50: return .unsupported
        default: return .argument
        }
    }

    /// A model that `whit_open` refused.
    static func refused(_ status: WhitStatus, source: String, badOffset: UInt32) -> WhitError {
        let text = sentence(status)
        let hint = source.hasSuffix(".onnx") ? "; an ONNX model has to be converted first: whit convert" : ""
        switch kind(of: status) {
        case .format:
            return WhitError(.format, "\(source): \(text): at byte \(badOffset)\(hint)", offset: Int(badOffset))
        case .operatorMissing:
            let missing = "hash 0x" + String(badOffset, radix: 16)
            let way = "build the library for this model: whit build --target ios --xcframework"
            return WhitError(.operatorMissing, "\(source): \(text) (\(missing)); \(way)", operatorName: missing)
        default:
            return WhitError(kind(of: status), "\(source): \(text)\(hint)")
        }
    }

    /// The first error of an instance since its last plan or run.
    static func failed(_ status: WhitStatus, instance: OpaquePointer, model: UnsafePointer<WhitModel>) -> WhitError {
        let message = sentence(status, cause: String(cString: whit_error_text(instance)))
        let node = whit_error_node(instance)
        guard node != UInt32.max else { return WhitError(kind(of: status), message) }
        let name = String(cString: whit_node_name(model, node))
        return WhitError(
            kind(of: status), message, node: name.isEmpty ? "#\(node)" : name,
            operatorName: String(cString: whit_node_operator(model, node)))
    }
}
