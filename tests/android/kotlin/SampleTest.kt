import dev.whit.DType
import dev.whit.Model
import dev.whit.sample.Bench
import dev.whit.sample.Dates
import dev.whit.sample.DigitReader
import dev.whit.sample.Drawing
import java.io.File
import org.junit.Assert.*
import org.junit.Test

/** The sample app without its screens. */
class SampleTest {
    private fun file(name: String) = File(System.getProperty("vectors"), "$name.whit")

    private fun circle(drawing: Drawing, x: Float, y: Float, rx: Float, ry: Float) {
        val points = (0..40).map { k -> Math.PI * k / 20 }.map { x + rx * Math.cos(it).toFloat() to y + ry * Math.sin(it).toFloat() }
        points.zipWithNext { (x0, y0), (x1, y1) -> drawing.line(x0, y0, x1, y1) }
    }

    @Test
    fun digits() {
        Model.open(file("digits")).use { model ->
            DigitReader(model).use { reader ->
                val zero = Drawing().apply { circle(this, 0.5f, 0.5f, 0.2f, 0.35f) }
                val r = reader.read(zero.scan())
                assertEquals(0, r.digit)
                assertFalse("a plain zero leaves early", r.late)
                assertTrue(r.confidence > 0.5f && r.nodes > 5 && r.seen.any { it.first == "features" })
                val one = Drawing().apply { line(0.52f, 0.12f, 0.52f, 0.88f) }
                assertTrue("another drawing, another answer", reader.read(one.scan()).digit != 0)
                val blot = reader.read(FloatArray(64) { (it * 7 % 16) / 16f })
                assertTrue("a blot goes on to the second exit", blot.late && blot.nodes > r.nodes)
            }
        }
        val moved = Drawing().apply { circle(this, 0.3f, 0.4f, 0.15f, 0.25f) }.scan()
        val middle = Drawing().apply { circle(this, 0.49f, 0.49f, 0.15f, 0.25f) }.scan()
        assertEquals("the drawing is moved to the middle", middle.sum(), moved.sum(), 0.6f)
        assertTrue(moved.all { it in 0f..1f } && Drawing().scan().all { it == 0f })
    }

    @Test
    fun dates() {
        Model.open(file("dates")).use { model ->
            model.session().use { session ->
                assertEquals("2026-11-22" to 11L, Dates.read(session, "22 nov 2026"))
                assertEquals("", Dates.read(session, "").first)
                assertEquals("", Dates.read(session, "h\u00e9llo \u2603").first)
            }
        }
    }

    @Test
    fun statistics() {
        assertEquals(2.0, Bench.median(longArrayOf(1, 2, 9)), 0.0)
        assertEquals(2.5, Bench.median(longArrayOf(1, 2, 3, 9)), 0.0)
        assertEquals(95L, Bench.p95(LongArray(100) { it.toLong() }))
        assertEquals(7L, Bench.p95(longArrayOf(7)))
    }

    @Test
    fun bench() {
        for (name in listOf("triple", "digits", "dates")) {
            val m = Bench("$name.whit", file(name).length(), 2, 30).measure { Model.open(file(name)) }
            assertTrue(m.minimum > 0 && m.minimum <= m.median && m.median <= m.p95 && m.profile.nodes().isNotEmpty())
            File(System.getProperty("json"), "$name.json").writeText(m.json)
        }
        assertEquals(DType.FLOAT32, Bench.random(Model.open(file("triple")).use { it.signature().inputs()[0] }).dtype())
    }
}
