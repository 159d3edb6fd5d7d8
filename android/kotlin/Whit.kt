/** Whit from Kotlin: what makes dev.whit pleasant there. Copy this file into an app, or the parts of it that you use. */
@file:Suppress("unused")

package dev.whit

import java.util.concurrent.Executor
import kotlin.coroutines.resume
import kotlin.coroutines.resumeWithException
import kotlin.coroutines.suspendCoroutine

// Not called run: that of Session, which takes inputs by position, would be preferred.

/** Runs the first entry point: `session.runWith("x" to floats)`. */
fun Session.runWith(vararg inputs: Pair<String, Any?>): Result = run(mapOf(*inputs))

/** Runs an entry point: `session.runEntry("decode", "token" to 7L)`. */
fun Session.runEntry(entry: String, vararg inputs: Pair<String, Any?>): Result = run(entry, mapOf(*inputs))

/** A session with options: `model.session { threads(4) }`. */
inline fun Model.session(options: SessionOptions.() -> Unit): Session = session(SessionOptions().apply(options))

/** `val (logits, exit) = session.run(x)` */
operator fun Result.component1(): Tensor = get(0)

operator fun Result.component2(): Tensor = get(1)

operator fun Result.component3(): Tensor = get(2)

/** Measures what the block runs: `val profile = session.profile { repeat(10) { run(x) } }`. */
inline fun Session.profile(block: Session.() -> Unit): Profile {
    startProfile()
    block()
    return stopProfile()
}

/** Sees values while the block runs: `session.tapping("decoder/\*", { name, at, value -> ... }) { run(x) }`. */
inline fun <T> Session.tapping(pattern: String, listener: TapListener, block: Session.() -> T): T =
    tap(pattern, listener).use { block() }

/**
 * Runs on an executor while the coroutine is suspended. With Kotlin's own library alone a coroutine's job is not known here: whoever
 * cancels it calls [Cancellation.cancel] too. `WhitCoroutines.kt` does that by itself, with kotlinx.coroutines.
 */
suspend fun Session.runSuspending(executor: Executor, inputs: Map<String, Any?>, cancellation: Cancellation = Cancellation()): Result =
    suspendCoroutine { continuation ->
        executor.execute {
            try {
                continuation.resume(run(inputs, RunOptions().cancellation(cancellation)))
            } catch (e: RuntimeException) {
                continuation.resumeWithException(e)
            }
        }
    }
