import dev.whit.*
import java.io.File
import java.util.concurrent.CompletableFuture
import java.util.concurrent.ExecutionException
import java.util.concurrent.Executors
import java.util.concurrent.TimeUnit
import kotlin.coroutines.Continuation
import kotlin.coroutines.EmptyCoroutineContext
import kotlin.coroutines.startCoroutine
import kotlinx.coroutines.FakeContinuation
import org.junit.Assert.*
import org.junit.Test

private fun open(name: String): Model = Model.open(File(System.getProperty("vectors"), "$name.whit"))

/** Starts a coroutine; its result as a future. */
private fun <T> start(block: suspend () -> T): CompletableFuture<T> {
    val future = CompletableFuture<T>()
    block.startCoroutine(Continuation(EmptyCoroutineContext) { r ->
        r.fold({ future.complete(it) }, { future.completeExceptionally(it) })
    })
    return future
}

class KotlinTest {
    private val executor = Executors.newSingleThreadExecutor { Thread(it).apply { isDaemon = true } }
    private val endless = mapOf("trips" to Long.MAX_VALUE, "start" to floatArrayOf(0f, 0f))

    @Test
    fun extensions() {
        open("triple").use { model ->
            model.session { threads(2) }.use { session ->
                val (y) = session.runWith("x" to floatArrayOf(14f))
                assertEquals(42f, y.floats()[0], 1e-4f)
                assertEquals(42f, session.run(floatArrayOf(14f))["y"].floats()[0], 1e-4f)
                val profile = session.profile { repeat(3) { runWith("x" to floatArrayOf(1f)) } }
                assertEquals(3, profile.nodes()[0].runs())
            }
        }
        open("counter").use { model ->
            model.session().use { session ->
                session.runWith("x" to floatArrayOf(1f, 2f))
                val (scaled) = session.runEntry("read", "factor" to 2f)
                assertArrayEquals(floatArrayOf(2f, 4f), scaled.floats(), 0f)
            }
        }
        open("spin").use { model ->
            model.session().use { session ->
                val seen = mutableListOf<Long>()
                session.tapping("step", { _, at, _ -> seen += at.last() }) { run(4, floatArrayOf(0f, 0f)) }
                assertEquals(listOf(0L, 1L, 2L, 3L), seen)
            }
        }
    }

    @Test(timeout = 20000)
    fun suspending() {
        open("triple").use { model ->
            model.session().use { session ->
                val result = start { session.runSuspending(executor, mapOf("x" to floatArrayOf(2f))) }.get()
                assertEquals(6f, result["y"].floats()[0], 1e-4f)
                assertEquals(6f, start { session.runCancellable(executor, mapOf("x" to floatArrayOf(2f))) }.get()["y"].floats()[0], 1e-4f)
            }
        }
    }

    @Test(timeout = 20000)
    fun cancelling() {
        open("spin").use { model ->
            model.session().use { session ->
                for (wait in 0L..5L) {
                    val cancellation = Cancellation()
                    val run = start { session.runSuspending(executor, endless, cancellation) }
                    TimeUnit.MILLISECONDS.sleep(wait)
                    cancellation.cancel()
                    assertTrue(assertThrows(ExecutionException::class.java) { run.get() }.cause is CancelledException)
                }
                for (wait in 0L..5L) {
                    val run = start { session.runCancellable(executor, endless) }
                    TimeUnit.MILLISECONDS.sleep(wait)
                    FakeContinuation.onCancel!!(null)
                    assertTrue(assertThrows(ExecutionException::class.java) { run.get() }.cause is CancelledException)
                }
                assertEquals(2, session.runWith("trips" to 3, "start" to floatArrayOf(1f, 1f))["total"].size())
            }
        }
    }
}
