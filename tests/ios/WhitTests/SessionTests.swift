import Foundation
import Whit
import XCTest

final class SessionTests: XCTestCase {
    private func text(_ string: String) -> [String: any ValueConvertible] {
        return ["text": Tensor<Int64>(string.utf8.map { Int64($0) })]
    }

    private func answer(_ outputs: Outputs) throws -> String {
        let codes = try outputs.tensor("output", of: Int64.self).scalars
        return String(decoding: codes.map { UInt8(truncatingIfNeeded: $0) }, as: UTF8.self)
    }

    func testShapesMayChange() throws {
        let session = try Session(Vectors.model("triple"))
        for count in [1, 3, 1, 7, 7] {
            let x = Tensor<Float>((0..<count).map { Float($0) }, shape: [count, 1])
            let y = try session.run(["x": x]).tensor("y", of: Float.self)
            XCTAssertEqual(y.shape, [count, 1])
            XCTAssertEqual(y[count - 1, 0], 3 * Float(count - 1), accuracy: 1e-3)
        }
        XCTAssertEqual(x0(session), 0, accuracy: 1e-3)
    }

    private func x0(_ session: Session) -> Float {
        let y = try? session.run(["x": Tensor<Float>([0], shape: [1, 1])]).tensor("y", of: Float.self)
        return y?[0, 0] ?? .nan
    }

    func testOutputsOutliveTheNextRun() throws {
        let session = try Session(Vectors.model("triple"))
        let first = try session.run(["x": Tensor<Float>([1], shape: [1, 1])]).tensor("y", of: Float.self)
        let before = first[0, 0]
        _ = try session.run(["x": Tensor<Float>([100], shape: [1, 1])])
        XCTAssertEqual(first[0, 0], before)
    }

    func testDates() throws {
        let session = try Session(Vectors.model("dates"))
        XCTAssertEqual(try answer(session.run(text("sunday 22 november 2026"))), "2026-11-22")
        XCTAssertEqual(try answer(session.run(text("Nov 2026"))), "2026-11")
        XCTAssertEqual(try answer(session.run(text("hello"))), "?")
    }

    func testInputsThatDoNotFit() throws {
        let session = try Session(Vectors.model("digits"))
        let wrong: [[String: any ValueConvertible]] = [
            [:],
            ["picture": Tensor<Float>([0])],
            ["image": Tensor<Double>([Double](repeating: 0, count: 64), shape: [1, 1, 8, 8])],
            ["image": Tensor<Float>([Float](repeating: 0, count: 64), shape: [8, 8])],
            ["image": Tensor<Float>([Float](repeating: 0, count: 16), shape: [1, 1, 4, 4])],
            ["image": Value.sequence([])],
        ]
        for inputs in wrong {
            XCTAssertThrowsError(try session.run(inputs)) { error in
                XCTAssertEqual((error as? WhitError)?.kind, .input, error.localizedDescription)
            }
        }
        let image = Tensor<Float>([Float](repeating: 0, count: 64), shape: [1, 1, 8, 8])
        XCTAssertEqual(try session.run(["image": image]).tensor("logits", of: Float.self).shape, [1, 10])
        XCTAssertThrowsError(try session.run(["image": image]).tensor("nothing", of: Float.self))
        XCTAssertThrowsError(try session.run(["image": image]).tensor("logits", of: Int8.self))
    }

    func testOptions() throws {
        let model = try Vectors.model("dates")
        for threads in [0, -1, 257] {
            XCTAssertThrowsError(try Session(model, options: Session.Options(threads: threads)))
        }
        let short = try Session(model, options: Session.Options(maxSteps: 5))
        XCTAssertThrowsError(try short.run(text("1/2/2003"))) { error in
            XCTAssertEqual((error as? WhitError)?.kind, .budget)
        }
        let whole = try Session(model)
        XCTAssertEqual(try answer(whole.run(text("1/2/2003"))), "2003-02-01")
        XCTAssertGreaterThan(whole.steps, 5)
        XCTAssertGreaterThan(whole.memory.arena, 0)
        XCTAssertGreaterThan(whole.memory.instance, 0)
        XCTAssertEqual(whole.memory.state, 0)
    }

    /// After an error a session goes on as if nothing had been.
    func testARunAfterAFailedOne() throws {
        let session = try Session(Vectors.model("dates"), options: Session.Options(maxSteps: 100))
        let long = String(repeating: "1/2/2003 ", count: 20)
        XCTAssertThrowsError(try session.run(text(long)))
        let free = try Session(Vectors.model("dates"))
        XCTAssertThrowsError(try free.run(text("1/2/2003"), tap: "*") { _ in throw CancellationError() }) { error in
            XCTAssertTrue(error is CancellationError, "\(error)")
        }
        XCTAssertEqual(try answer(free.run(text("1/2/2003"))), "2003-02-01")
    }

    func testAsyncRunsSideBySide() async throws {
        let model = try Vectors.model("dates")
        let found = try await withThrowingTaskGroup(of: String.self) { group -> [String] in
            for _ in 0..<8 {
                group.addTask {
                    let session = try Session(model)
                    let codes = Array("22 Nov 2026".utf8).map { Int64($0) }
                    let outputs = try await session.run(["text": Tensor<Int64>(codes)])
                    let letters = try outputs.tensor("output", of: Int64.self).scalars
                    return String(decoding: letters.map { UInt8(truncatingIfNeeded: $0) }, as: UTF8.self)
                }
            }
            var all: [String] = []
            for try await text in group { all.append(text) }
            return all
        }
        XCTAssertEqual(found, [String](repeating: "2026-11-22", count: 8))
    }

    /// spin.whit counts as long as it is told to, which here is for years.
    private let years: [String: any ValueConvertible] = [
        "trips": Tensor<Int64>(scalar: Int64.max), "start": Tensor<Float>([1, 2]),
    ]

    func testCancelledTask() async throws {
        let session = try Session(Vectors.model("spin"))
        let inputs = years
        let task = Task { try await session.run(inputs) }
        try await Task.sleep(nanoseconds: 20_000_000)
        task.cancel()
        do {
            _ = try await task.value
            XCTFail("a cancelled run ended as if nothing had been")
        } catch {
            XCTAssertTrue(error is CancellationError, "\(error)")
        }
        let short: [String: any ValueConvertible] = ["trips": Tensor<Int64>(scalar: 0), "start": Tensor<Float>([1, 2])]
        let outputs = try await session.run(short)
        XCTAssertEqual(try outputs.tensor("total", of: Float.self).scalars, [1, 2])
    }

    /// A run that waits for another can be cancelled without harm to that one.
    func testCancelledWhileWaiting() async throws {
        let session = try Session(Vectors.model("spin"))
        let inputs = years
        let first = Task { try await session.run(inputs) }
        try await Task.sleep(nanoseconds: 20_000_000)
        let second = Task { try await session.run(inputs) }
        try await Task.sleep(nanoseconds: 20_000_000)
        second.cancel()
        try await Task.sleep(nanoseconds: 20_000_000)
        session.cancel()
        do {
            _ = try await first.value
            XCTFail("a cancelled run ended as if nothing had been")
        } catch {
            XCTAssertEqual((error as? WhitError)?.kind, .cancelled, "\(error)")
        }
        do {
            _ = try await second.value
            XCTFail("a cancelled run ended as if nothing had been")
        } catch {
            XCTAssertTrue(error is CancellationError, "\(error)")
        }
    }

    /// Who stops listening ends the run.
    func testTapsOfAnEndlessRun() async throws {
        let session = try Session(Vectors.model("spin"), options: Session.Options(maxSteps: 2_000_000))
        var count = 0
        for try await tap in session.taps("*step*", running: years) {
            XCTAssertEqual(tap.iterations, [count])
            count += 1
            if count == 5 { break }
        }
        XCTAssertEqual(count, 5)
    }

    func testTaps() async throws {
        let session = try Session(Vectors.model("dates"))
        var iterations = Set<[Int]>()
        var count = 0
        for try await tap in session.taps("*", running: text("22 Nov 2026")) {
            iterations.insert(tap.iterations)
            count += 1
            if case .tensor(let tensor) = tap.value { XCTAssertEqual(tensor.shape.reduce(1, *), tensor.count) }
        }
        XCTAssertGreaterThan(count, 20)
        XCTAssertTrue(iterations.contains([]))
        XCTAssertTrue(iterations.contains([10]))  // the eleventh turn of the decoder says "end"
        XCTAssertFalse(iterations.contains([40]))
        do {
            for try await _ in session.taps("nothing of the kind", running: text("22 Nov 2026")) {}
            XCTFail("a tap that fits nothing was taken")
        } catch {
            XCTAssertEqual((error as? WhitError)?.kind, .argument)
        }
    }

    /// The branch not taken is not there.
    func testEarlyExit() throws {
        let session = try Session(Vectors.model("digits"))
        let image = Tensor<Float>([Float](repeating: 0, count: 64), shape: [1, 1, 8, 8])
        var seen: [String] = []
        let outputs = try session.run(["image": image], tap: "*") { tap in
            seen.append(tap.node)
            return true
        }
        let isLate = try outputs.tensor("exit", of: Int64.self).scalars[0] != 0
        XCTAssertEqual(seen.contains { $0.contains("late/") }, isLate, "\(seen)")
    }

    func testProfile() throws {
        let session = try Session(Vectors.model("digits"))
        let image = Tensor<Float>([Float](repeating: 0, count: 64), shape: [1, 1, 8, 8])
        let times = try session.profile(["image": image], runs: 5)
        XCTAssertEqual(times.map { $0.nanoseconds }, times.map { $0.nanoseconds }.sorted(by: >))
        XCTAssertTrue(times.contains { $0.operatorName == "conv" })
        XCTAssertEqual(UInt64(times.reduce(0) { $0 + $1.runs }), session.steps)
    }
}

/// counter.whit adds its input to a sum that it keeps: `add` gives twice the sum, `read` the sum times a factor.
final class StateTests: XCTestCase {
    private func add(_ session: Session, _ x: [Float]) throws -> [Float] {
        return try session.run(["x": Tensor<Float>(x)]).tensor("twice", of: Float.self).scalars
    }

    private func read(_ session: Session) throws -> [Float] {
        return try session.run(["factor": Tensor<Float>(scalar: 1)]).tensor("scaled", of: Float.self).scalars
    }

    func testStateIsKeptAndReset() throws {
        let session = try Session(Vectors.model("counter"))
        XCTAssertEqual(try add(session, [1, 2]), [2, 4])
        XCTAssertEqual(try add(session, [1, 2]), [4, 8])
        let saved = session.state.save()
        XCTAssertEqual(saved.count, session.memory.state)
        XCTAssertEqual(try add(session, [1, 2]), [6, 12])
        try session.state.restore(saved)
        XCTAssertEqual(try add(session, [0, 0]), [4, 8])
        try session.state.reset()
        XCTAssertEqual(try add(session, [0, 0]), [0, 0])
        XCTAssertThrowsError(try session.state.restore(Data()))
    }

    func testEntryPointsShareState() throws {
        let model = try Vectors.model("counter")
        let adder = try Session(model, entry: "add")
        let reader = try Session(model, entry: "read", state: adder.state)
        let other = try Session(model, entry: "read")
        _ = try add(adder, [1, 2])
        XCTAssertEqual(try read(reader), [1, 2])
        XCTAssertEqual(try read(other), [0, 0])
        XCTAssertThrowsError(try Session(Vectors.model("counter"), state: adder.state))
    }
}
