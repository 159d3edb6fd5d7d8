/// A point of a drawing; the canvas goes from 0 to 1 both ways, y downwards.
public struct DrawnPoint: Equatable, Sendable {
    public let x: Double
    public let y: Double

    public init(x: Double, y: Double) {
        self.x = x
        self.y = y
    }
}

/// Strokes of a finger, made into the picture that digits.whit was trained on: 8 x 8 numbers from 0 to 1, each the ink in a
/// block of 4 x 4 points of a picture of 32 x 32.
public struct Drawing: Equatable, Sendable {
    static let side = 32
    private static let pen = 2.0  // radius in points of that picture
    private static let margin = 2.5

    public private(set) var strokes: [[DrawnPoint]] = []

    public init() {}

    public var isEmpty: Bool { return strokes.isEmpty }

    public mutating func begin(at point: DrawnPoint) { strokes.append([point]) }

    public mutating func go(to point: DrawnPoint) {
        guard let last = strokes.indices.last else { return begin(at: point) }
        strokes[last].append(point)
    }

    /// 64 numbers, row after row.
    public func picture() -> [Float] {
        let ink = inked()
        var blocks = [Float](repeating: 0, count: 64)
        for y in 0..<Drawing.side {
            for x in 0..<Drawing.side where ink[y * Drawing.side + x] { blocks[y / 4 * 8 + x / 4] += 1 / 16 }
        }
        return blocks
    }

    /// The strokes at the size of the picture, in its middle, drawn with a round pen.
    private func inked() -> [Bool] {
        var ink = [Bool](repeating: false, count: Drawing.side * Drawing.side)
        let points = strokes.flatMap { $0 }
        guard let left = points.map({ $0.x }).min(), let right = points.map({ $0.x }).max(),
            let top = points.map({ $0.y }).min(), let bottom = points.map({ $0.y }).max()
        else { return ink }
        let room = Double(Drawing.side) - 2 * Drawing.margin
        let extent = max(right - left, bottom - top, 0.05)  // a dot stays a dot
        let scale = room / extent
        let middle = Double(Drawing.side) / 2
        func place(_ p: DrawnPoint) -> (x: Double, y: Double) {
            return (x: middle + (p.x - (left + right) / 2) * scale, y: middle + (p.y - (top + bottom) / 2) * scale)
        }
        for stroke in strokes {
            var from = place(stroke[0])
            for point in stroke {
                let to = place(point)
                let distance = ((to.x - from.x) * (to.x - from.x) + (to.y - from.y) * (to.y - from.y)).squareRoot()
                let steps = max(Int(distance * 4), 1)
                for k in 0...steps {
                    let t = Double(k) / Double(steps)
                    Drawing.dot(&ink, from.x + (to.x - from.x) * t, from.y + (to.y - from.y) * t)
                }
                from = to
            }
        }
        return ink
    }

    private static func dot(_ ink: inout [Bool], _ x: Double, _ y: Double) {
        let first = (x: max(Int(x - pen), 0), y: max(Int(y - pen), 0))
        let last = (x: min(Int(x + pen), side - 1), y: min(Int(y + pen), side - 1))
        guard first.x <= last.x && first.y <= last.y else { return }
        for row in first.y...last.y {
            for column in first.x...last.x {
                let dx = Double(column) + 0.5 - x
                let dy = Double(row) + 0.5 - y
                if dx * dx + dy * dy <= pen * pen { ink[row * side + column] = true }
            }
        }
    }
}
