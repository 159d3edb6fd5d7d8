import Foundation
import Whit
import XCTest

@testable import WhitBench

final class BenchTests: XCTestCase {
    func testStatistics() throws {
        XCTAssertNil(Statistics([]))
        let odd = try XCTUnwrap(Statistics([30, 10, 20]))
        XCTAssertEqual(odd.minimum, 10)
        XCTAssertEqual(odd.median, 20)
        XCTAssertEqual(odd.p95, 30)
        XCTAssertEqual(try XCTUnwrap(Statistics([1, 2, 3, 4])).median, 2.5)
        XCTAssertEqual(try XCTUnwrap(Statistics((1...100).map { UInt64($0) })).p95, 96)
        XCTAssertEqual(try XCTUnwrap(Statistics([7])).p95, 7)
    }

    func testTimesForPeople() {
        XCTAssertEqual(timeText(5), "5.00 ns")
        XCTAssertEqual(timeText(1_234), "1.23 \u{B5}s")
        XCTAssertEqual(timeText(45_678_000), "45.7 ms")
        XCTAssertEqual(timeText(200_000), "200 \u{B5}s")
        XCTAssertEqual(timeText(1_006_000_000), "1.01 s")
    }

    func testChecksum() {
        let bytes = Array("123456789".utf8)
        XCTAssertEqual(bytes.withUnsafeBytes { crc32($0) }, 0xcbf4_3926)  // the value that every description of it gives
    }

    func testMadeUpNumbers() {
        var numbers = MadeUp([:])
        XCTAssertEqual(numbers.next(), 0xe220_a839_7b1d_cdaf)  // SplitMix64 from 0
        XCTAssertEqual(numbers.next(), 0x6e78_9e6a_a1b9_65f4)
    }

    func testReport() throws {
        var benchmark = Benchmark()
        benchmark.runs = 10
        for name in ["triple", "digits", "dates"] {
            let report = try benchmark.measure(contentsOf: Vectors.url("\(name).whit"))
            XCTAssertEqual(report.runs, 10)
            XCTAssertLessThanOrEqual(Double(report.minNs), report.medianNs)
            XCTAssertLessThanOrEqual(report.medianNs, Double(report.p95Ns))
            XCTAssertGreaterThanOrEqual(report.nodes.reduce(0) { $0 + $1.runs }, Int(report.steps))
            XCTAssertEqual(report.operators.reduce(0) { $0 + $1.nodes }, report.nodes.count)
            XCTAssertEqual(try JSONDecoder().decode(Report.self, from: report.json()), report)
            let keys = try XCTUnwrap(JSONSerialization.jsonObject(with: report.json()) as? [String: Any]).keys
            XCTAssertTrue(keys.contains("first_run_ns"))
        }
    }

    func testCancelled() throws {
        var benchmark = Benchmark()
        benchmark.runs = 1_000
        var asked = 0
        XCTAssertThrowsError(
            try benchmark.measure(contentsOf: Vectors.url("triple.whit")) {
                asked += 1
                return asked > 5
            }
        ) { error in XCTAssertTrue(error is CancellationError) }
        XCTAssertEqual(asked, 6)
    }
}
