import SwiftUI
import Whit

/// What the date screen shows, and the reader behind it.
@MainActor
final class DateState: ObservableObject {
    @Published var text = "sunday 22 november 2026"
    @Published private(set) var answer: DateReader.Answer?
    @Published private(set) var failure: String?

    private var reader: DateReader?
    private var reading: Task<Void, Never>?

    func read() {
        reading?.cancel()
        let text = self.text
        reading = Task {
            do {
                let reader = try self.reader ?? DateReader(try Bundled.model("dates"))
                self.reader = reader
                let answer = try await reader.read(text)
                if !Task.isCancelled { self.answer = answer }
            } catch is CancellationError {
                return
            } catch {
                self.failure = error.localizedDescription
            }
        }
    }
}

/// Type a date as people write it.
struct DateScreen: View {
    @StateObject private var state = DateState()

    var body: some View {
        VStack(spacing: 16) {
            Text("Type a date").font(.headline)
            TextField("22 Nov 2026", text: $state.text)
                .textFieldStyle(.roundedBorder)
                .disableAutocorrection(true)
                .onChange(of: state.text) { _ in state.read() }
            if let answer = state.answer {
                Text(answer.text).font(.system(size: 40, weight: .bold, design: .monospaced))
                Text("\(answer.loops) of at most 16 turns of the loop, \(answer.steps) nodes").font(.footnote)
            }
            ErrorText(message: state.failure)
            Spacer()
        }
        .padding()
        .onAppear { state.read() }
    }
}
