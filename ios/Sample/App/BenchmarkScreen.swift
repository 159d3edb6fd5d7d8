import SwiftUI
import Whit
import WhitBench

/// What the benchmark screen shows; measures on a thread of its own.
@MainActor
final class BenchmarkState: ObservableObject {
    @Published var model = "digits"
    @Published var threads = 1
    @Published var runs = 200
    @Published private(set) var report: Report?
    @Published private(set) var json: URL?
    @Published private(set) var failure: String?
    @Published private(set) var isMeasuring = false

    private var measuring: Task<Void, Never>?

    func stop() { measuring?.cancel() }

    func start() {
        var benchmark = Benchmark()
        benchmark.threads = threads
        benchmark.runs = runs
        let chosen = benchmark
        let name = model
        isMeasuring = true
        failure = nil
        measuring = Task {
            do {
                let found = try await BenchmarkState.measure(chosen, name)
                report = found
                json = try BenchmarkState.write(found)
            } catch is CancellationError {
                failure = "stopped"
            } catch {
                failure = error.localizedDescription
            }
            isMeasuring = false
        }
    }

    private nonisolated static func measure(_ benchmark: Benchmark, _ name: String) async throws -> Report {
        let work = Task.detached(priority: .userInitiated) {
            try benchmark.measure(contentsOf: try Bundled.url(name), isCancelled: { Task.isCancelled })
        }
        return try await withTaskCancellationHandler {
            try await work.value
        } onCancel: {
            work.cancel()
        }
    }

    private static func write(_ report: Report) throws -> URL {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("whit-bench.json")
        try report.json().write(to: url)
        return url
    }
}

/// Pick a model, threads and runs; see the distribution and the nodes; export the JSON of `whit bench`.
struct BenchmarkScreen: View {
    @StateObject private var state = BenchmarkState()
    @State private var isSharing = false

    var body: some View {
        Form {
            Section(header: Text("What")) {
                Picker("Model", selection: $state.model) {
                    ForEach(Bundled.names, id: \.self) { Text($0) }
                }
                Stepper("Threads: \(state.threads)", value: $state.threads, in: 1...max(Processor.count, 1))
                Stepper("Runs: \(state.runs)", value: $state.runs, in: 50...5000, step: 50)
                if state.isMeasuring {
                    Button("Stop") { state.stop() }
                } else {
                    Button("Measure") { state.start() }
                }
                ErrorText(message: state.failure)
            }
            if let report = state.report {
                Section(header: Text("\(report.file), \(report.runs) runs")) {
                    row("min", Double(report.minNs))
                    row("median", report.medianNs)
                    row("p95", Double(report.p95Ns))
                    row("first run", Double(report.firstRunNs))
                    row("load", report.loadNs)
                }
                Section(header: Text("Nodes")) {
                    ForEach(report.nodes.prefix(20), id: \.index) { node in
                        NodeBar(node: node, longest: report.nodes.first?.ns ?? 1)
                    }
                }
                Section {
                    Button("Export JSON") { isSharing = true }.disabled(state.json == nil)
                }
            }
        }
        .sheet(isPresented: $isSharing) {
            if let json = state.json { ShareSheet(items: [json]) }
        }
    }

    private func row(_ label: String, _ nanoseconds: Double) -> some View {
        HStack {
            Text(label)
            Spacer()
            Text(timeText(nanoseconds)).font(.system(.body, design: .monospaced))
        }
    }
}

/// A node, and its time as a bar.
struct NodeBar: View {
    let node: Report.Node
    let longest: UInt64

    var body: some View {
        VStack(alignment: .leading, spacing: 4) {
            HStack {
                Text(node.name.isEmpty ? "#\(node.index)" : node.name).lineLimit(1)
                Spacer()
                Text(timeText(Double(node.ns)))
            }
            .font(.caption)
            GeometryReader { geometry in
                Rectangle()
                    .fill(Color.accentColor)
                    .frame(width: geometry.size.width * CGFloat(node.ns) / CGFloat(max(longest, 1)))
            }
            .frame(height: 6)
            Text(node.operator).font(.caption2).foregroundColor(.secondary)
        }
    }
}

/// The system's sheet for sharing.
struct ShareSheet: UIViewControllerRepresentable {
    let items: [Any]

    func makeUIViewController(context: Context) -> UIActivityViewController {
        return UIActivityViewController(activityItems: items, applicationActivities: nil)
    }

    func updateUIViewController(_ controller: UIActivityViewController, context: Context) {}
}
