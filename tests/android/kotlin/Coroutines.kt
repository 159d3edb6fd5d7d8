/** The two names of kotlinx.coroutines that WhitCoroutines.kt uses, in its package, for this test: Maven's repository is not asked. */
package kotlinx.coroutines

import kotlin.coroutines.Continuation
import kotlin.coroutines.suspendCoroutine

interface CancellableContinuation<in T> : Continuation<T> {
    fun invokeOnCancellation(handler: (cause: Throwable?) -> Unit)
}

/** What the test cancels. */
class FakeContinuation<T>(private val inner: Continuation<T>) : CancellableContinuation<T>, Continuation<T> by inner {
    override fun invokeOnCancellation(handler: (cause: Throwable?) -> Unit) {
        onCancel = handler
    }

    companion object {
        @Volatile var onCancel: ((Throwable?) -> Unit)? = null
    }
}

suspend fun <T> suspendCancellableCoroutine(block: (CancellableContinuation<T>) -> Unit): T =
    suspendCoroutine { block(FakeContinuation(it)) }
