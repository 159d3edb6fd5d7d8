import Foundation
import XCTest

@testable import Whit

final class ModelTests: XCTestCase {
    func testPorts() throws {
        let digits = try Vectors.model("digits")
        XCTAssertEqual(digits.entries.count, 1)
        XCTAssertEqual(digits.inputs.map { $0.name }, ["image"])
        XCTAssertEqual(digits.inputs[0].shape, [.fixed(1), .fixed(1), .fixed(8), .fixed(8)])
        XCTAssertEqual(digits.outputs.map { $0.name }, ["logits", "exit", "confidence"])
        XCTAssertEqual(digits.outputs[1].elementType, .int64)
        let dates = try Vectors.model("dates")
        XCTAssertEqual(dates.inputs[0].shape, [.named("length")])
        XCTAssertEqual(dates.inputs[0].description, "int64 [length]")
        XCTAssertTrue(digits.nodes.contains { $0.operatorName == "if" })
        XCTAssertTrue(dates.nodes.contains { $0.operatorName == "loop" })
    }

    func testBytesInMemory() throws {
        let data = try Data(contentsOf: Vectors.url("triple.whit"))
        let model = try Model(data: data)
        XCTAssertEqual(model.byteCount, data.count)
        let y = try Session(model).run(["x": Tensor<Float>([14], shape: [1, 1])]).tensor("y", of: Float.self)
        XCTAssertEqual(y[0, 0], 42, accuracy: 1e-3)
    }

    func testFilesThatAreNoModels() throws {
        let missing = URL(fileURLWithPath: "/nowhere/at/all.whit")
        XCTAssertThrowsError(try Model(contentsOf: missing)) { error in
            XCTAssertEqual((error as? WhitError)?.kind, .file)
            XCTAssertTrue(error.localizedDescription.contains("/nowhere/at/all.whit"), error.localizedDescription)
        }
        XCTAssertThrowsError(try Model(contentsOf: XCTUnwrap(URL(string: "https://example.org/model.whit")))) { error in
            XCTAssertEqual((error as? WhitError)?.kind, .file)
        }
        XCTAssertThrowsError(try Model(data: Data())) { error in
            XCTAssertEqual((error as? WhitError)?.kind, .format)
        }
        let data = try Data(contentsOf: Vectors.url("triple.whit"))
        for count in [1, 8, 60, data.count / 2, data.count - 1] {
            XCTAssertThrowsError(try Model(data: data.prefix(count)), "\(count) bytes of \(data.count)") { error in
                XCTAssertEqual((error as? WhitError)?.kind, .format)
                XCTAssertNotNil((error as? WhitError)?.offset)
            }
        }
    }

    func testEntryPoints() throws {
        let triple = try Vectors.model("triple")
        XCTAssertEqual(try triple.entry(), triple.entries[0])
        XCTAssertEqual(try triple.entry(triple.entries[0].name).index, 0)
        XCTAssertThrowsError(try triple.entry("nothing")) { error in
            XCTAssertTrue(error.localizedDescription.contains("'nothing'"), error.localizedDescription)
        }
    }

    func testPatterns() {
        func fits(_ name: String, _ pattern: String) -> Bool { return Tap.fits(Array(name), Array(pattern)) }
        XCTAssertTrue(fits("late/conv1", "late/*"))
        XCTAssertTrue(fits("late/conv1", "*conv?"))
        XCTAssertTrue(fits("late/conv1", "*"))
        XCTAssertTrue(fits("abcabc", "*abc"))
        XCTAssertTrue(fits("", "**"))
        XCTAssertFalse(fits("late/conv10", "*conv?"))
        XCTAssertFalse(fits("early", "late*"))
        XCTAssertFalse(fits("", "?"))
    }
}
