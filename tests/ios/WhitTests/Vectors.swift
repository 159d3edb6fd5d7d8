import Foundation
import Whit

/// The models, inputs and expected bits that all platforms share (tests/vectors in Whit's sources).
struct Vectors: Decodable {
    /// A tensor whose bytes lie in vectors.bin, a sequence of them, or nothing.
    struct Item: Decodable {
        let name: String?
        let dtype: String?
        let shape: [Int]?
        let at: Int?
        let bytes: Int?
        let items: [Item]?
        let absent: Bool?
    }

    struct Failure: Decodable {
        let status: Int
        let node: String
        let `operator`: String
    }

    struct Run: Decodable {
        let entry: String
        let inputs: [Item]
        let outputs: [Item]?
        let fails: Failure?
        let steps: UInt64?
    }

    struct Case: Decodable {
        let name: String
        let model: String
        let runs: [Run]
    }

    let cases: [Case]

    static func url(_ name: String) -> URL {
        return URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Vectors/\(name)")
    }

    static func model(_ name: String) throws -> Model {
        return try Model(contentsOf: url("\(name).whit"))
    }

    static func load() throws -> Vectors {
        return try JSONDecoder().decode(Vectors.self, from: Data(contentsOf: url("vectors.json")))
    }
}
