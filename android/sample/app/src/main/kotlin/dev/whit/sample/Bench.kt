package dev.whit.sample

import dev.whit.DType
import dev.whit.Model
import dev.whit.Port
import dev.whit.Profile
import dev.whit.Result
import dev.whit.SessionOptions
import dev.whit.Tensor
import java.io.File
import java.util.Random
import java.util.zip.CRC32

/** Measures a model as `whit bench` does. */
class Bench(private val file: String, private val bytes: Long, private val threads: Int, private val runs: Int) {
    /** What was measured. Times are in nanoseconds. */
    class Measured(val minimum: Long, val median: Double, val p95: Long, val profile: Profile, val json: String)

    fun measure(open: () -> Model): Measured {
        val loads = LongArray(20) { time { open().close() } }
        open().use { model ->
            model.session(SessionOptions().threads(threads)).use { session ->
                val inputs = model.signature().inputs().associate { it.name() to random(it) }
                lateinit var first: Result
                val firstRun = time { first = session.run(inputs) }
                repeat(maxOf(runs / 10, 3)) { session.run(inputs) }
                val times = LongArray(runs) { time { session.run(inputs) } }.apply { sort() }
                session.startProfile()
                session.run(inputs)
                val profile = session.stopProfile()
                val json = Json.obj(
                    "file" to file,
                    "shapes" to inputs.mapValues { (_, t) -> t.shape().toList() },
                    "threads" to threads,
                    "runs" to runs,
                    "load_ns" to median(loads.apply { sort() }),
                    "first_run_ns" to firstRun,
                    "min_ns" to times.first(),
                    "median_ns" to median(times),
                    "p95_ns" to p95(times),
                    "steps" to first.steps(),
                    "arena_bytes" to session.arenaBytes(),
                    "instance_bytes" to session.instanceBytes(),
                    "state_bytes" to session.stateBytes(),
                    "file_bytes" to bytes,
                    *memory(),
                    "machine" to System.getProperty("os.arch", ""),
                    "cpu" to emptyList<String>(), // which features are used, Java is not told
                    "cpu_mhz" to clocks(),
                    "outputs" to first.asMap().mapNotNull { (name, t) -> (t as? Tensor)?.let { fingerprint(name, it) } },
                    "nodes" to profile.nodes().map {
                        Json.obj("index" to it.index(), "operator" to it.operator(), "name" to it.name(), "runs" to it.runs(), "ns" to it.nanoseconds())
                    },
                    "operators" to profile.operators().map { o ->
                        val n = profile.nodes().count { it.operator() == o.operator() }
                        Json.obj("operator" to o.operator(), "kind" to "", "nodes" to n, "runs" to o.runs(), "ns" to o.nanoseconds())
                    },
                )
                return Measured(times.first(), median(times), p95(times), profile, json.text)
            }
        }
    }

    companion object {
        fun median(sorted: LongArray): Double = (sorted[(sorted.size - 1) / 2] + sorted[sorted.size / 2]) / 2.0

        fun p95(sorted: LongArray): Long = sorted[minOf(sorted.size - 1, sorted.size * 95 / 100)]

        inline fun time(work: () -> Unit): Long {
            val start = System.nanoTime()
            work()
            return System.nanoTime() - start
        }

        /** An input that any model takes: dimensions that may change are 1; numbers between 0 and 1, of integers 0. */
        fun random(port: Port, seed: Long = 0): Tensor {
            val t = Tensor.zeros(port.dtype(), *IntArray(port.shape()?.size ?: 0) { port.shape()[it].let { d -> if (d < 0) 1 else d } })
            val random = Random(seed)
            if (port.dtype() == DType.FLOAT32) t.buffer().asFloatBuffer().put(FloatArray(t.size()) { random.nextFloat() })
            return t
        }

        private fun fingerprint(name: String, t: Tensor) = Json.obj(
            "name" to name, "dtype" to t.dtype().toString(), "shape" to t.shape().toList(), "crc32" to CRC32().apply { update(t.bytes()) }.value,
        )

        /** Of this process, as the kernel tells. */
        private fun memory(): Array<Pair<String, Any>> {
            val status = runCatching { File("/proc/self/status").readLines() }.getOrDefault(emptyList())
            fun bytes(key: String) = (status.firstOrNull { it.startsWith("$key:") }?.filter { it.isDigit() }?.toLong() ?: 0L) * 1024
            return arrayOf(
                "peak_resident_bytes" to bytes("VmHWM"), "resident_bytes" to bytes("VmRSS"), "anonymous_bytes" to bytes("RssAnon"),
            )
        }

        private fun clocks(): List<Long> = File("/sys/devices/system/cpu").listFiles().orEmpty().sorted().mapNotNull {
            runCatching { File(it, "cpufreq/scaling_cur_freq").readText().trim().toLong() / 1000 }.getOrNull()
        }
    }
}

/** As much of JSON as is written here. */
class Json private constructor(val text: String) {
    companion object {
        fun obj(vararg fields: Pair<String, Any?>) =
            Json(fields.joinToString(", ", "{", "}") { (name, value) -> "${write(name)}: ${write(value)}" })

        private fun write(value: Any?): String = when (value) {
            null -> "null"
            is Json -> value.text
            is Number, is Boolean -> value.toString()
            is Map<*, *> -> value.entries.joinToString(", ", "{", "}") { "${write(it.key.toString())}: ${write(it.value)}" }
            is Collection<*> -> value.joinToString(", ", "[", "]") { write(it) }
            else -> value.toString().asIterable().joinToString("", "\"", "\"") {
                if (it == '"' || it == '\\') "\\$it" else if (it < ' ') "\\u%04x".format(it.code) else it.toString()
            }
        }
    }
}
