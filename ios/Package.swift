// swift-tools-version: 5.9
import PackageDescription

// The C runtime: compiled here from one file, on Apple's platforms and on Linux.
let runtime = Target.target(name: "CWhit")
// end of runtime

let package = Package(
    name: "Whit",
    platforms: [.iOS(.v15), .macOS(.v11)],
    products: [
        .library(name: "Whit", targets: ["Whit"]),
        .library(name: "WhitBench", targets: ["WhitBench"]),
    ],
    targets: [
        runtime,
        .target(name: "CWhitAtomics"),
        .target(name: "Whit", dependencies: ["CWhit", "CWhitAtomics"], resources: [.copy("PrivacyInfo.xcprivacy")]),
        .target(name: "WhitBench", dependencies: ["Whit"]),
        .target(name: "SampleLogic", dependencies: ["Whit"]),
        .testTarget(
            name: "WhitTests", dependencies: ["Whit", "WhitBench", "SampleLogic"], exclude: ["Vectors"]),
    ]
)
