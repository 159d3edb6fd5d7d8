package dev.whit.sample

import android.app.Activity
import android.content.Context
import android.content.Intent
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.os.Bundle
import android.view.View
import android.widget.ArrayAdapter
import android.widget.ScrollView
import android.widget.Spinner
import dev.whit.Model
import dev.whit.Profile
import kotlin.concurrent.thread

/** Pick a model, threads and runs; see the times and where they go; send the JSON that `whit bench --json` prints. */
class BenchActivity : Activity() {
    private var json = ""

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        val models = assets.list("").orEmpty().filter { it.endsWith(".whit") }
        val model = choice(models)
        val threads = choice(listOf("1", "2", "4", "8"))
        val runs = choice(listOf("100", "1000", "10000"))
        val text = label(this, "", 20f)
        val bars = BarsView(this)
        val run = button(this, "Run") {
            val name = model.selectedItem.toString()
            val bench = Bench(name, bytes(name), threads.selectedItem.toString().toInt(), runs.selectedItem.toString().toInt())
            text.text = "running"
            thread {
                val said = runCatching { bench.measure { Model.open(assets, name) } }
                runOnUiThread {
                    said.onSuccess {
                        json = it.json
                        text.text = "min %.1f us, median %.1f us, p95 %.1f us".format(it.minimum / 1e3, it.median / 1e3, it.p95 / 1e3)
                        bars.show(it.profile)
                    }.onFailure { text.text = it.message }
                }
            }
        }
        val export = button(this, "Export JSON") {
            val send = Intent(Intent.ACTION_SEND).setType("application/json").putExtra(Intent.EXTRA_TEXT, json)
            if (json.isNotEmpty()) startActivity(Intent.createChooser(send, "whit bench"))
        }
        setContentView(ScrollView(this).apply { addView(column(this@BenchActivity, model, threads, runs, run, text, bars, export)) })
    }

    private fun choice(items: List<String>) = Spinner(this).apply {
        adapter = ArrayAdapter(this@BenchActivity, android.R.layout.simple_spinner_dropdown_item, items)
    }

    private fun bytes(name: String): Long = assets.open(name).use { input ->
        val some = ByteArray(1 shl 16)
        generateSequence { input.read(some).takeIf { it > 0 } }.sumOf { it.toLong() }
    }
}

/** A bar for each of the slowest nodes. */
class BarsView(context: Context) : View(context) {
    private val paint = Paint().apply { textSize = ROW * 0.55f }
    private var nodes: List<Profile.Item> = emptyList()

    fun show(profile: Profile) {
        nodes = profile.nodes().take(20)
        requestLayout()
        invalidate()
    }

    override fun onMeasure(widthMeasureSpec: Int, heightMeasureSpec: Int) =
        setMeasuredDimension(MeasureSpec.getSize(widthMeasureSpec), (nodes.size * ROW).toInt())

    override fun onDraw(canvas: Canvas) {
        val most = nodes.firstOrNull()?.nanoseconds()?.coerceAtLeast(1) ?: return
        nodes.forEachIndexed { k, n ->
            paint.color = Color.rgb(160, 200, 240)
            canvas.drawRect(0f, k * ROW, width * n.nanoseconds().toFloat() / most, (k + 0.9f) * ROW, paint)
            paint.color = Color.BLACK
            canvas.drawText("%s %s  %.1f us".format(n.operator(), n.name(), n.nanoseconds() / 1e3), 8f, (k + 0.65f) * ROW, paint)
        }
    }

    private companion object {
        const val ROW = 56f
    }
}
