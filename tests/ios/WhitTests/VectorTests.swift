import Foundation
import Whit
import XCTest

/// Every case of the shared vectors gives the bits that they state.
final class VectorTests: XCTestCase {
    private func value(_ item: Vectors.Item, _ data: Data) throws -> Value {
        if item.absent == true { return .absent }
        if let items = item.items {
            return .sequence(try items.map { try XCTUnwrap(value($0, data).tensor) })
        }
        let type = try XCTUnwrap(ElementType.allCases.first { $0.name == item.dtype }, "\(item.dtype ?? "no type")")
        let start = try XCTUnwrap(item.at)
        let count = try XCTUnwrap(item.bytes)
        let shape = try XCTUnwrap(item.shape)
        let bytes = [UInt8](data[start..<(start + count)])
        return .tensor(bytes.withUnsafeBytes { AnyTensor(elementType: type, shape: shape, bytes: $0) })
    }

    private func inputs(_ run: Vectors.Run, _ data: Data) throws -> [String: any ValueConvertible] {
        var found: [String: any ValueConvertible] = [:]
        for item in run.inputs {
            let name = try XCTUnwrap(item.name)
            found[name] = try value(item, data)
        }
        return found
    }

    /// Runs every case, in sessions with these options, by this way of running.
    private func check(_ options: Session.Options, _ run: (Session, [String: any ValueConvertible]) throws -> Outputs) throws {
        let data = try Data(contentsOf: Vectors.url("vectors.bin"))
        let cases = try Vectors.load().cases
        XCTAssertGreaterThanOrEqual(cases.count, 10)
        for test in cases {
            let model = try Model(contentsOf: Vectors.url(test.model))
            let state = try ModelState(model)
            var sessions: [String: Session] = [:]
            for step in test.runs {
                let entry = step.entry.isEmpty ? nil : step.entry
                let session = try sessions[step.entry] ?? Session(model, entry: entry, options: options, state: state)
                sessions[step.entry] = session
                let given = try inputs(step, data)
                if let failure = step.fails {
                    XCTAssertThrowsError(try run(session, given), test.name) { error in
                        let found = error as? WhitError
                        XCTAssertEqual(found?.node, failure.node)
                        XCTAssertEqual(found?.operatorName, failure.operator)
                        if failure.status == 0x42 { XCTAssertEqual(found?.kind, .index) }
                    }
                    continue
                }
                let outputs = try run(session, given)
                let wanted = try XCTUnwrap(step.outputs)
                XCTAssertEqual(outputs.names, wanted.map { $0.name ?? "" }, test.name)
                for item in wanted {
                    let name = try XCTUnwrap(item.name)
                    XCTAssertEqual(outputs[name], try value(item, data), "\(test.name): \(name)")
                }
                XCTAssertEqual(session.steps, step.steps, test.name)
            }
        }
    }

    func testBits() throws {
        try check(Session.Options()) { session, inputs in try session.run(inputs) }
    }

    func testBitsWithoutVectorInstructions() throws {
        try check(Session.Options(usesVectors: false)) { session, inputs in try session.run(inputs) }
    }

    func testBitsWithThreads() throws {
        try check(Session.Options(threads: 4)) { session, inputs in try session.run(inputs) }
    }

    func testBitsWhileSomebodyLooksOn() throws {
        try check(Session.Options()) { session, inputs in try session.run(inputs, tap: "*") { _ in true } }
    }

    /// The same session again, with the plan that it has.
    func testBitsOfASecondRun() throws {
        let data = try Data(contentsOf: Vectors.url("vectors.bin"))
        for test in try Vectors.load().cases where test.model != "counter.whit" {
            let session = try Session(Model(contentsOf: Vectors.url(test.model)))
            for step in test.runs where step.fails == nil {
                let given = try inputs(step, data)
                XCTAssertEqual(try session.run(given).values, try session.run(given).values, test.name)
            }
        }
    }
}
