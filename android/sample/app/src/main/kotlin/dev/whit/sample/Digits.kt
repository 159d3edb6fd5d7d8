package dev.whit.sample

import dev.whit.Model
import dev.whit.Session
import dev.whit.Tensor
import java.io.Closeable

/** What was drawn, on a square grid of ink: as the scans are that the model was trained with. */
class Drawing(private val size: Int = SIZE) {
    private val ink = BooleanArray(size * size)

    /** A pen of this radius goes in a line. Coordinates are parts of the square, 0 to 1. */
    fun line(x0: Float, y0: Float, x1: Float, y1: Float, radius: Float = 0.055f) {
        val steps = (maxOf(kotlin.math.abs(x1 - x0), kotlin.math.abs(y1 - y0)) * size * 2).toInt() + 1
        for (k in 0..steps) dot(x0 + (x1 - x0) * k / steps, y0 + (y1 - y0) * k / steps, radius)
    }

    private fun dot(x: Float, y: Float, radius: Float) {
        for (row in 0 until size) for (column in 0 until size) {
            val dx = (column + 0.5f) / size - x
            val dy = (row + 0.5f) / size - y
            if (dx * dx + dy * dy <= radius * radius) ink[row * size + column] = true
        }
    }

    fun clear() = ink.fill(false)

    fun has(row: Int, column: Int) = ink[row * size + column]

    /** The share of ink in each of 8 by 8 blocks, the drawing moved to the middle. */
    fun scan(): FloatArray {
        val inked = ink.indices.filter { ink[it] }
        if (inked.isEmpty()) return FloatArray(64)
        val down = size / 2 - (inked.minOf { it / size } + inked.maxOf { it / size } + 1) / 2
        val right = size / 2 - (inked.minOf { it % size } + inked.maxOf { it % size } + 1) / 2
        val block = size / 8
        val counts = IntArray(64)
        for (k in inked) counts[(k / size + down).coerceIn(0, size - 1) / block * 8 + (k % size + right).coerceIn(0, size - 1) / block]++
        return FloatArray(64) { counts[it].toFloat() / (block * block) }
    }

    companion object {
        const val SIZE = 32
    }
}

/** A digit as the model reads it, and which way it went. */
class Reading(val digit: Int, val late: Boolean, val confidence: Float, val nodes: Long, val seen: List<Pair<String, Tensor>>)

class DigitReader(model: Model) : Closeable {
    private val session: Session = model.session()

    fun read(scan: FloatArray): Reading {
        val seen = mutableListOf<Pair<String, Tensor>>()
        session.tap("*") { name, _, value -> if (value is Tensor) seen += name to value }.use {
            val result = session.run(scan)
            val logits = result["logits"].floats()
            val digit = logits.indices.maxByOrNull { logits[it] } ?: 0
            return Reading(digit, result["exit"].item() != 0.0, result["confidence"].item().toFloat(), result.steps(), seen)
        }
    }

    override fun close() = session.close()
}
