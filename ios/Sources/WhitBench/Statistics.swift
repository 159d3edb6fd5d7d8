/// Minimum, median and 95th percentile of times, as `whit bench` computes them.
public struct Statistics: Equatable, Sendable {
    /// The run that nothing disturbed.
    public let minimum: UInt64
    /// The middle; between the two middle ones if there are two.
    public let median: Double
    /// What 19 of 20 runs do not exceed.
    public let p95: UInt64
    /// How many times there were.
    public let count: Int

    /// Nil if there are no times.
    public init?(_ times: [UInt64]) {
        guard !times.isEmpty else { return nil }
        let sorted = times.sorted()
        let n = sorted.count
        count = n
        minimum = sorted[0]
        median = n % 2 == 1 ? Double(sorted[n / 2]) : (Double(sorted[n / 2 - 1]) + Double(sorted[n / 2])) / 2
        p95 = sorted[min(n - 1, n * 95 / 100)]
    }
}

/// A time for people: three digits and a unit.
public func timeText(_ nanoseconds: Double) -> String {
    let units: [(Double, String)] = [(1e9, "s"), (1e6, "ms"), (1e3, "\u{B5}s")]
    for (size, unit) in units where nanoseconds >= size { return threeDigits(nanoseconds / size) + " " + unit }
    return threeDigits(nanoseconds) + " ns"
}

private func threeDigits(_ value: Double) -> String {
    let decimals = value >= 100 ? 0 : value >= 10 ? 1 : 2
    let scale = decimals == 0 ? 1.0 : decimals == 1 ? 10.0 : 100.0
    let whole = Int((value * scale).rounded())
    guard decimals > 0 else { return String(whole) }
    let text = String(whole)
    let digits = String(repeating: "0", count: max(decimals + 1 - text.count, 0)) + text
    return String(digits.dropLast(decimals)) + "." + String(digits.suffix(decimals))
}

/// The checksum of zip and PNG (zlib.crc32 in Python), to compare outputs of two machines bit by bit.
public func crc32(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    var sum: UInt32 = 0xffff_ffff
    for byte in bytes {
        sum ^= UInt32(byte)
        for _ in 0..<8 { sum = sum & 1 != 0 ? sum >> 1 ^ 0xedb8_8320 : sum >> 1 }
    }
    return ~sum
}
