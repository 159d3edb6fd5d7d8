package dev.whit.sample

import android.app.Activity
import android.content.Context
import android.content.Intent
import android.os.Bundle
import android.view.View
import android.widget.Button
import android.widget.LinearLayout
import android.widget.TextView

/** The way to the three screens. */
class MainActivity : Activity() {
    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        fun screen(text: String, type: Class<out Activity>) = button(this, text) { startActivity(Intent(this, type)) }
        setContentView(
            column(
                this,
                screen("Draw a digit", DigitActivity::class.java),
                screen("Type a date", DateActivity::class.java),
                screen("Benchmark", BenchActivity::class.java),
            ),
        )
    }
}

// ---- what the screens are made of ----

fun column(context: Context, vararg views: View): LinearLayout = LinearLayout(context).apply {
    orientation = LinearLayout.VERTICAL
    setPadding(32, 32, 32, 32)
    fitsSystemWindows = true
    for (v in views) addView(v, LinearLayout.LayoutParams(LinearLayout.LayoutParams.MATCH_PARENT, LinearLayout.LayoutParams.WRAP_CONTENT))
}

fun button(context: Context, label: String, onClick: () -> Unit): Button = Button(context).apply {
    text = label
    setOnClickListener { onClick() }
}

fun label(context: Context, content: String = "", size: Float = 16f): TextView = TextView(context).apply {
    text = content
    textSize = size
}
