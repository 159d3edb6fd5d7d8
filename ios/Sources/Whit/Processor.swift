import CWhit
import Dispatch
import Foundation

#if canImport(Darwin)
import Darwin
#elseif canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Android)
import Android
#endif

/// What this processor can do, for `whit_host.cpu`.
public enum Processor {
    static let features: UInt32 = detected()

    /// Instruction sets with kernels of their own that are used here: `neon`, `avx2`, `avx512`.
    public static var names: [String] {
        let known = [(avx2, "avx2"), (avx512, "avx512"), (neon, "neon")]
        return known.filter { features & $0.0 != 0 }.map { $0.1 }
    }

    /// Processors that may compute now.
    public static var count: Int { return ProcessInfo.processInfo.activeProcessorCount }

    private static var avx2: UInt32 { return UInt32(WHIT_CPU_AVX2) }
    private static var avx512: UInt32 { return UInt32(WHIT_CPU_AVX512) }
    private static var neon: UInt32 { return UInt32(WHIT_CPU_NEON) }

    private static func detected() -> UInt32 {
        #if arch(arm64)
        return neon  // part of the architecture
        #elseif arch(x86_64)
        var found: UInt32 = 0
        if ["avx2", "fma", "f16c"].allSatisfy(has) { found |= avx2 }
        if found != 0 && ["avx512f", "avx512dq", "avx512bw", "avx512vl"].allSatisfy(has) { found |= avx512 }
        return found
        #else
        return 0
        #endif
    }

    #if arch(x86_64)
    #if canImport(Darwin)
    private static func has(_ feature: String) -> Bool {
        let name = feature == "avx2" ? "avx2_0" : feature
        var value: Int64 = 0
        var size = MemoryLayout<Int64>.size
        return sysctlbyname("hw.optional.\(name)", &value, &size, nil, 0) == 0 && value != 0
    }
    #else
    private static let flags: Set<String> = cpuFlags()

    private static func has(_ feature: String) -> Bool { return flags.contains(feature) }

    /// Of the first processor, as Linux tells.
    private static func cpuFlags() -> Set<String> {
        guard let file = fopen("/proc/cpuinfo", "r") else { return [] }
        defer { fclose(file) }
        let size = 16384
        let line = UnsafeMutablePointer<CChar>.allocate(capacity: size)
        defer { line.deallocate() }
        while fgets(line, Int32(size), file) != nil {
            let text = String(cString: line)
            if text.hasPrefix("flags") {
                return Set(text.split(whereSeparator: { $0 == " " || $0 == "\n" || $0 == "\t" }).map(String.init))
            }
        }
        return []
    }
    #endif
    #endif
}

/// Nanoseconds of a clock that never goes back; its zero is arbitrary.
public func whitClock() -> UInt64 { return DispatchTime.now().uptimeNanoseconds }
