/** A run that suspends and ends with its coroutine. Needs org.jetbrains.kotlinx:kotlinx-coroutines-core and Whit.kt. */
package dev.whit

import java.util.concurrent.Executor
import kotlin.coroutines.resume
import kotlin.coroutines.resumeWithException
import kotlinx.coroutines.suspendCancellableCoroutine

/**
 * Runs on an executor (`Dispatchers.Default.asExecutor()`, or one of your own) while the coroutine is suspended. If the coroutine
 * is cancelled, the run ends before its next node, also if it has not begun.
 */
suspend fun Session.runCancellable(executor: Executor, inputs: Map<String, Any?>, options: RunOptions = RunOptions()): Result =
    suspendCancellableCoroutine { continuation ->
        val cancellation = Cancellation()
        continuation.invokeOnCancellation { cancellation.cancel() }
        executor.execute {
            try {
                val result = run(inputs, options.cancellation(cancellation))
                continuation.resume(result)
            } catch (e: RuntimeException) {
                continuation.resumeWithException(e) // after a cancellation, kotlinx.coroutines ignores it
            }
        }
    }
