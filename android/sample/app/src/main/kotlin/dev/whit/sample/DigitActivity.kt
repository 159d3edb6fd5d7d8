package dev.whit.sample

import android.annotation.SuppressLint
import android.app.Activity
import android.content.Context
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.os.Bundle
import android.view.MotionEvent
import android.view.View
import android.widget.ScrollView
import android.widget.TextView
import dev.whit.Model

/** Draw a digit: an easy one leaves the network at its first exit, a hard one goes on to the second. */
class DigitActivity : Activity() {
    private lateinit var model: Model
    private lateinit var reader: DigitReader
    private lateinit var answer: TextView
    private lateinit var values: TextView

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        model = Model.open(assets, "digits.whit")
        reader = DigitReader(model)
        answer = label(this, "Draw a digit", 24f)
        values = label(this, "", 12f)
        val pad = DrawingView(this) { show(reader.read(it)) }
        val clear = button(this, "Clear") {
            pad.clear()
            answer.text = "Draw a digit"
            values.text = ""
        }
        setContentView(ScrollView(this).apply { addView(column(this@DigitActivity, pad, answer, clear, values)) })
    }

    private fun show(r: Reading) {
        val way = if (r.late) "late" else "early"
        answer.text = "%d, left %s: %d nodes executed, %.1f %% sure at the first exit".format(r.digit, way, r.nodes, 100 * r.confidence)
        values.text = r.seen.joinToString("\n") { (name, t) ->
            val numbers = runCatching { t.floats().take(4).joinToString(" ") { "%.3f".format(it) } }.getOrDefault("")
            "$name  $t  $numbers"
        }
    }

    override fun onDestroy() {
        reader.close()
        model.close()
        super.onDestroy()
    }
}

/** A square to draw in. Tells the scan when the pen is lifted. */
@SuppressLint("ViewConstructor")
class DrawingView(context: Context, private val onDrawn: (FloatArray) -> Unit) : View(context) {
    private val drawing = Drawing()
    private val paint = Paint()
    private var x0 = 0f
    private var y0 = 0f

    fun clear() {
        drawing.clear()
        invalidate()
    }

    override fun onMeasure(widthMeasureSpec: Int, heightMeasureSpec: Int) {
        val width = MeasureSpec.getSize(widthMeasureSpec)
        setMeasuredDimension(width, width)
    }

    override fun onDraw(canvas: Canvas) {
        canvas.drawColor(Color.BLACK)
        paint.color = Color.WHITE
        val cell = width.toFloat() / Drawing.SIZE
        for (row in 0 until Drawing.SIZE) for (column in 0 until Drawing.SIZE) {
            if (drawing.has(row, column)) canvas.drawRect(column * cell, row * cell, (column + 1) * cell, (row + 1) * cell, paint)
        }
    }

    @SuppressLint("ClickableViewAccessibility")
    override fun onTouchEvent(event: MotionEvent): Boolean {
        val x = event.x / width
        val y = event.y / height
        when (event.action) {
            MotionEvent.ACTION_DOWN -> parent.requestDisallowInterceptTouchEvent(true)
            MotionEvent.ACTION_MOVE -> drawing.line(x0, y0, x, y)
            MotionEvent.ACTION_UP -> onDrawn(drawing.scan())
        }
        x0 = x
        y0 = y
        invalidate()
        return true
    }
}
