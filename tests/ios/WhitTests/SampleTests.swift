import Foundation
import SampleLogic
import Whit
import XCTest

final class SampleTests: XCTestCase {
    private func drawing(_ strokes: [[(Double, Double)]]) -> Drawing {
        var drawing = Drawing()
        for stroke in strokes {
            for (k, point) in stroke.enumerated() {
                let place = DrawnPoint(x: point.0, y: point.1)
                if k == 0 { drawing.begin(at: place) } else { drawing.go(to: place) }
            }
        }
        return drawing
    }

    func testPicture() {
        XCTAssertEqual(Drawing().picture(), [Float](repeating: 0, count: 64))
        let line = drawing([[(0.5, 0.1), (0.5, 0.9)]]).picture()
        XCTAssertEqual(line.count, 64)
        XCTAssertTrue(line.allSatisfy { $0 >= 0 && $0 <= 1 })
        for row in 0..<8 {
            XCTAssertEqual(line[row * 8], 0)  // upright, in the middle
            XCTAssertEqual(line[row * 8 + 7], 0)
            XCTAssertEqual(line[row * 8 + 3], line[row * 8 + 4], accuracy: 0.26)
        }
        XCTAssertGreaterThan(line[3 * 8 + 3], 0)
        XCTAssertTrue(Drawing().isEmpty)
    }

    func testDrawnDigits() async throws {
        let reader = try DigitReader(Vectors.model("digits"))
        let one = drawing([[(0.4, 0.25), (0.5, 0.1), (0.5, 0.9)]])
        let seven = drawing([[(0.25, 0.12), (0.75, 0.12), (0.45, 0.9)]])
        let first = try await reader.read(one.picture())
        XCTAssertEqual(first.digit, 1)
        XCTAssertFalse(first.isLate)
        let second = try await reader.read(seven.picture())
        XCTAssertEqual(second.digit, 7)
        XCTAssertTrue(second.isLate)
        XCTAssertGreaterThan(second.steps, first.steps)
        XCTAssertEqual(second.logits.count, 10)
    }

    func testDates() async throws {
        let reader = try DateReader(Vectors.model("dates"))
        let answer = try await reader.read("sunday 22 november 2026")
        XCTAssertEqual(answer?.text, "2026-11-22")
        XCTAssertEqual(answer?.loops, 11)
        let nothing = try await reader.read("\u{1F600}")
        XCTAssertNil(nothing)
    }
}
