import Foundation
import Whit

/// Reads a drawn digit with digits.whit, which leaves early if it is sure.
public final class DigitReader: Sendable {
    /// What it read.
    public struct Answer: Equatable, Sendable {
        /// 0 to 9.
        public let digit: Int
        /// How sure the first exit was, from 0 to 1.
        public let confidence: Float
        /// Whether the later layers were needed.
        public let isLate: Bool
        /// Nodes executed: fewer if it left early.
        public let steps: UInt64
        /// Of each digit, the higher the likelier.
        public let logits: [Float]
    }

    private let session: Session

    public init(_ model: Model) throws { session = try Session(model) }

    public func read(_ picture: [Float]) async throws -> Answer {
        let outputs = try await session.run(["image": Tensor<Float>(picture, shape: [1, 1, 8, 8])])
        let logits = try outputs.tensor("logits", of: Float.self).scalars
        let exit = try outputs.tensor("exit", of: Int64.self).scalars
        let confidence = try outputs.tensor("confidence", of: Float.self).scalars
        var digit = 0
        for k in logits.indices where logits[k] > logits[digit] { digit = k }
        return Answer(
            digit: digit, confidence: confidence[0], isLate: exit[0] != 0, steps: session.steps, logits: logits)
    }
}

/// Reads a date as people write it with dates.whit, whose decoder is a loop that stops at the end of the answer.
public final class DateReader: Sendable {
    /// What it read.
    public struct Answer: Equatable, Sendable {
        /// `2026-11-22`, or `?`.
        public let text: String
        /// Letters that the loop made, the end included.
        public let loops: Int
        /// Nodes executed.
        public let steps: UInt64
    }

    private let session: Session

    public init(_ model: Model) throws { session = try Session(model) }

    /// Characters that are not ASCII are left out. Nil if there are no others.
    public func read(_ text: String) async throws -> Answer? {
        let codes = text.utf8.filter { $0 < 128 }.map { Int64($0) }
        if codes.isEmpty { return nil }
        let outputs = try await session.run(["text": Tensor<Int64>(codes)])
        let answer = try outputs.tensor("output", of: Int64.self).scalars
        let loops = try outputs.tensor("steps", of: Int64.self).scalars
        let letters = answer.map { UInt8(truncatingIfNeeded: $0) }
        return Answer(text: String(decoding: letters, as: UTF8.self), loops: Int(loops[0]), steps: session.steps)
    }
}
