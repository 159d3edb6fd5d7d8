import SwiftUI
import Whit

/// What the digit screen shows, and the reader behind it.
@MainActor
final class DigitState: ObservableObject {
    @Published var drawing = Drawing()
    @Published private(set) var answer: DigitReader.Answer?
    @Published private(set) var failure: String?

    private var reader: DigitReader?
    private var reading: Task<Void, Never>?

    func clear() {
        reading?.cancel()
        drawing = Drawing()
        answer = nil
        failure = nil
    }

    /// Reads what is drawn; a reading that is still under way is given up.
    func read() {
        reading?.cancel()
        let picture = drawing.picture()
        reading = Task {
            do {
                let reader = try self.reader ?? DigitReader(try Bundled.model("digits"))
                self.reader = reader
                let answer = try await reader.read(picture)
                if !Task.isCancelled { self.answer = answer }
            } catch is CancellationError {
                return
            } catch {
                self.failure = error.localizedDescription
            }
        }
    }
}

/// Draw a digit and watch it leave early or late.
struct DigitScreen: View {
    @StateObject private var state = DigitState()
    @State private var isDrawing = false

    var body: some View {
        VStack(spacing: 16) {
            Text("Draw a digit").font(.headline)
            canvas
            if let answer = state.answer {
                Text("\(answer.digit)").font(.system(size: 64, weight: .bold))
                Text(answer.isLate ? "left late: all layers" : "left early: the later layers did not run")
                    .foregroundColor(answer.isLate ? .orange : .green)
                Text("\(answer.steps) nodes, first exit \(Int((answer.confidence * 100).rounded())) % sure").font(.footnote)
            } else {
                Text(" ").font(.system(size: 64))
            }
            ErrorText(message: state.failure)
            Button("Clear") { state.clear() }
        }
        .padding()
    }

    private var canvas: some View {
        GeometryReader { geometry in
            let side = min(geometry.size.width, geometry.size.height)
            Path { path in
                for stroke in state.drawing.strokes {
                    for (k, point) in stroke.enumerated() {
                        let place = CGPoint(x: point.x * Double(side), y: point.y * Double(side))
                        if k == 0 { path.move(to: place) } else { path.addLine(to: place) }
                    }
                }
            }
            .stroke(Color.primary, style: StrokeStyle(lineWidth: 18, lineCap: .round, lineJoin: .round))
            .frame(width: side, height: side)
            .background(Color.gray.opacity(0.15))
            .contentShape(Rectangle())
            .gesture(
                DragGesture(minimumDistance: 0)
                    .onChanged { drag in
                        let point = DrawnPoint(
                            x: Double(drag.location.x / side), y: Double(drag.location.y / side))
                        if isDrawing {
                            state.drawing.go(to: point)
                        } else {
                            isDrawing = true
                            state.drawing.begin(at: point)
                        }
                        state.read()
                    }
                    .onEnded { _ in isDrawing = false }
            )
        }
        .aspectRatio(1, contentMode: .fit)
    }
}
