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

/// The bytes of a model, which stay where they are and as they are.
final class ModelBytes: @unchecked Sendable {
    let pointer: UnsafeRawPointer
    let count: Int
    private let isMapped: Bool

    /// Maps a file: pages are read when they are touched, are shared between processes, and can be taken back by the system.
    init(mapping url: URL) throws {
        guard url.isFileURL else { throw WhitError(.file, "\(url.absoluteString): not a file; download it first") }
        let file = url.withUnsafeFileSystemRepresentation { path -> Int32 in
            guard let path = path else { return -1 }
            return open(path, O_RDONLY | O_CLOEXEC)
        }
        guard file >= 0 else { throw ModelBytes.unreadable(url, errno) }
        defer { _ = close(file) }
        // The size by lseek: fstat is on Apple's list of functions that an app has to give reasons for.
        let size = Int(lseek(file, 0, SEEK_END))
        guard size >= 0 else { throw ModelBytes.unreadable(url, errno) }
        guard size > 0 else { throw WhitError(.format, "\(url.lastPathComponent): the file is empty", offset: 0) }
        let mapped = mmap(nil, size, PROT_READ, MAP_PRIVATE, file, 0)
        guard let start = mapped, start != UnsafeMutableRawPointer(bitPattern: -1) else {
            throw ModelBytes.unreadable(url, errno)
        }
        pointer = UnsafeRawPointer(start)
        count = size
        isMapped = true
    }

    /// Copies bytes that are in memory.
    init(copying data: Data) throws {
        guard !data.isEmpty else { throw WhitError(.format, "there are no bytes", offset: 0) }
        let block = UnsafeMutableRawPointer.allocate(byteCount: data.count, alignment: 64)
        data.copyBytes(to: UnsafeMutableRawBufferPointer(start: block, count: data.count))
        pointer = UnsafeRawPointer(block)
        count = data.count
        isMapped = false
    }

    deinit {
        let start = UnsafeMutableRawPointer(mutating: pointer)
        if isMapped {
            _ = munmap(start, count)
        } else {
            start.deallocate()
        }
    }

    private static func unreadable(_ url: URL, _ code: Int32) -> WhitError {
        return WhitError(.file, "\(url.path): \(String(cString: strerror(code)))")
    }
}
