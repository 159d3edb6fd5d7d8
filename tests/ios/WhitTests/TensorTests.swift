import Foundation
import Whit
import XCTest

final class TensorTests: XCTestCase {
    func testElementsInOrder() throws {
        let x = Tensor<Float>([1, 2, 3, 4, 5, 6], shape: [2, 3])
        XCTAssertEqual(x.shape, [2, 3])
        XCTAssertEqual(x.count, 6)
        XCTAssertEqual(x[0, 2], 3)
        XCTAssertEqual(x[1, 0], 4)
        XCTAssertEqual(x.scalars, [1, 2, 3, 4, 5, 6])
        XCTAssertEqual(x.withUnsafeBufferPointer { $0.reduce(0, +) }, 21)
        XCTAssertEqual(Tensor<Int8>([7, -7]).shape, [2])
        XCTAssertEqual(Tensor<Int64>(scalar: 5).shape, [])
        XCTAssertEqual(Tensor<Int64>(scalar: 5).scalars, [5])
        XCTAssertEqual(Tensor<Double>([], shape: [3, 0]).scalars, [])
    }

    func testWrittenInPlace() {
        let x = Tensor<UInt16>(shape: [4]) { buffer in
            for k in buffer.indices { buffer[k] = UInt16(k * k) }
        }
        XCTAssertEqual(x.scalars, [0, 1, 4, 9])
    }

    func testTypesAreChecked() throws {
        let erased = Tensor<Float>([1, 2]).erased
        XCTAssertEqual(try Tensor<Float>(erased).scalars, [1, 2])
        XCTAssertThrowsError(try Tensor<Int32>(erased)) { error in
            XCTAssertEqual((error as? WhitError)?.kind, .type)
        }
    }

    func testTruthsAreExact() throws {
        let bytes: [UInt8] = [0, 1, 2, 255]
        let tensor = bytes.withUnsafeBytes { AnyTensor(elementType: .bool, shape: [4], bytes: $0) }
        XCTAssertEqual(try Tensor<Bool>(tensor).scalars, [false, true, true, true])
    }

    func testEquality() {
        XCTAssertEqual(Tensor<Float>([1, 2]), Tensor<Float>([1, 2]))
        XCTAssertNotEqual(Tensor<Float>([1, 2]), Tensor<Float>([1, 3]))
        XCTAssertNotEqual(Tensor<Float>([1, 2]), Tensor<Float>([1, 2], shape: [2, 1]))
        XCTAssertNotEqual(Tensor<Float>([1]).erased, Tensor<Int32>([1]).erased)
    }

    func testEveryTypeHasASizeAndAName() {
        XCTAssertEqual(ElementType.float64.byteCount, 8)
        XCTAssertEqual(ElementType.float16.byteCount, 2)
        XCTAssertEqual(ElementType.int4.byteCount, 1)
        XCTAssertEqual(ElementType.float32.name, "float32")
        XCTAssertEqual(ElementType.float8e8m0.name, "float8_e8m0fnu")
        XCTAssertEqual(Set(ElementType.allCases.map { $0.name }).count, ElementType.allCases.count)
    }
}
