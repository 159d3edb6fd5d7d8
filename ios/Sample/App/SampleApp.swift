import SwiftUI
import Whit

@main
struct SampleApp: App {
    var body: some Scene {
        WindowGroup {
            TabView {
                DigitScreen().tabItem { Label("Digit", systemImage: "pencil.tip") }
                DateScreen().tabItem { Label("Date", systemImage: "calendar") }
                BenchmarkScreen().tabItem { Label("Benchmark", systemImage: "speedometer") }
            }
        }
    }
}

/// The models in this app's bundle.
enum Bundled {
    static let names = ["digits", "dates", "triple"]

    static func url(_ name: String) throws -> URL {
        guard let url = Bundle.main.url(forResource: name, withExtension: "whit") else {
            throw CocoaError(.fileNoSuchFile, userInfo: [NSFilePathErrorKey: "\(name).whit"])
        }
        return url
    }

    static func model(_ name: String) throws -> Model {
        return try Model(contentsOf: try url(name))
    }
}

/// A sentence in red, where something went wrong.
struct ErrorText: View {
    let message: String?

    var body: some View {
        if let message = message {
            Text(message).font(.footnote).foregroundColor(.red)
        }
    }
}
