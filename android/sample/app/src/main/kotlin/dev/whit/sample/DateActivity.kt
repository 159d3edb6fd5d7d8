package dev.whit.sample

import android.app.Activity
import android.os.Bundle
import android.text.Editable
import android.text.TextWatcher
import android.widget.EditText
import dev.whit.Model
import dev.whit.Session

/** Type a date in any way: the answer is there after each letter. Its loop ends when the answer does. */
class DateActivity : Activity(), TextWatcher {
    private lateinit var model: Model
    private lateinit var session: Session
    private val answer by lazy { label(this, "sunday 22 november 2026, 22/11/26, ...", 24f) }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        model = Model.open(assets, "dates.whit")
        session = model.session()
        val text = EditText(this).apply { addTextChangedListener(this@DateActivity) }
        setContentView(column(this, text, answer))
    }

    override fun afterTextChanged(s: Editable?) {
        val (date, steps) = Dates.read(session, s.toString())
        answer.text = "${date.ifEmpty { "no date" }}\n$steps of at most 16 steps"
    }

    override fun beforeTextChanged(s: CharSequence?, start: Int, count: Int, after: Int) = Unit

    override fun onTextChanged(s: CharSequence?, start: Int, before: Int, count: Int) = Unit

    override fun onDestroy() {
        session.close()
        model.close()
        super.onDestroy()
    }
}
