import Foundation
import Whit

/// The models, inputs and expected bits that all platforms share (tests/vectors in Whit's sources).
enum Vectors {
    static func url(_ name: String) -> URL {
        return URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Vectors/\(name)")
    }

    static func model(_ name: String) throws -> Model {
        return try Model(contentsOf: url("\(name).whit"))
    }
}
