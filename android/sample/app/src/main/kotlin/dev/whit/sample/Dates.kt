package dev.whit.sample

import dev.whit.Session

/** Turns text into a date as the model does: characters go in one by one, and the answer's come out. */
object Dates {
    /** ASCII codes; what is none becomes a space. The model wants one at least. */
    fun codes(text: String): LongArray =
        LongArray(maxOf(text.length, 1)) { k -> text.getOrNull(k)?.code?.takeIf { it in 1..127 }?.toLong() ?: 32L }

    fun text(codes: LongArray): String = String(CharArray(codes.size) { codes[it].toInt().toChar() })

    /** The answer, empty if the text is no date, and the steps that its loop took. */
    fun read(session: Session, text: String): Pair<String, Long> {
        val result = session.run(codes(text))
        val answer = text(result["output"].longs()) // a question mark where the text is none
        return (if (answer == "?") "" else answer) to result["steps"].longs()[0]
    }
}
