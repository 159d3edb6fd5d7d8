"""Stand-ins of the Android classes that the sample's screens use, with the signatures of API 36 as far as they are called: against them
the screens are compiled, not run."""

from __future__ import annotations

from pathlib import Path

CLASSES = {
    "android.R": "public final class R { public static final class layout { public static final int simple_spinner_dropdown_item = 0; } }",
    "android.annotation.SuppressLint": "public @interface SuppressLint { String[] value(); }",
    "android.app.Activity": """public class Activity extends android.content.Context {
  protected void onCreate(android.os.Bundle b) {}
  protected void onDestroy() {}
  public void setContentView(android.view.View v) {}
  public final void runOnUiThread(Runnable r) {} }""",
    "android.content.Context": """public abstract class Context {
  public android.content.res.AssetManager getAssets() { return null; }
  public void startActivity(Intent i) {} }""",
    "android.content.Intent": """public class Intent {
  public static final String ACTION_SEND = "", EXTRA_TEXT = "";
  public Intent(String action) {}
  public Intent(Context c, Class<?> type) {}
  public Intent setType(String t) { return this; }
  public Intent putExtra(String k, String v) { return this; }
  public static Intent createChooser(Intent i, CharSequence title) { return i; } }""",
    "android.content.res.AssetManager": """public class AssetManager {
  public String[] list(String path) throws java.io.IOException { return null; }
  public java.io.InputStream open(String name) throws java.io.IOException { return null; } }""",
    "android.graphics.Canvas": """public class Canvas {
  public void drawColor(int c) {}
  public void drawRect(float l, float t, float r, float b, Paint p) {}
  public void drawText(String s, float x, float y, Paint p) {} }""",
    "android.graphics.Color": """public class Color {
  public static final int BLACK = 0, WHITE = 1;
  public static int rgb(int r, int g, int b) { return 0; } }""",
    "android.graphics.Paint": """public class Paint {
  public int getColor() { return 0; }
  public void setColor(int c) {}
  public float getTextSize() { return 0; }
  public void setTextSize(float s) {} }""",
    "android.os.Bundle": "public final class Bundle {}",
    "android.text.Editable": "public interface Editable extends CharSequence {}",
    "android.text.TextWatcher": """public interface TextWatcher {
  void beforeTextChanged(CharSequence s, int start, int count, int after);
  void onTextChanged(CharSequence s, int start, int before, int count);
  void afterTextChanged(Editable s); }""",
    "android.view.MotionEvent": """public final class MotionEvent {
  public static final int ACTION_DOWN = 0, ACTION_UP = 1, ACTION_MOVE = 2;
  public final int getAction() { return 0; }
  public final float getX() { return 0; }
  public final float getY() { return 0; } }""",
    "android.view.ViewParent": "public interface ViewParent { void requestDisallowInterceptTouchEvent(boolean b); }",
    "android.view.View": """public class View {
  public interface OnClickListener { void onClick(View v); }
  public static class MeasureSpec { public static int getSize(int s) { return 0; } }
  public View(android.content.Context c) {}
  public void setOnClickListener(OnClickListener l) {}
  public void setPadding(int l, int t, int r, int b) {}
  public void setFitsSystemWindows(boolean b) {}
  public boolean getFitsSystemWindows() { return false; }
  public void invalidate() {}
  public void requestLayout() {}
  public final int getWidth() { return 0; }
  public final int getHeight() { return 0; }
  public final ViewParent getParent() { return null; }
  protected final void setMeasuredDimension(int w, int h) {}
  protected void onMeasure(int w, int h) {}
  protected void onDraw(android.graphics.Canvas c) {}
  public boolean onTouchEvent(MotionEvent e) { return false; } }""",
    "android.view.ViewGroup": """public abstract class ViewGroup extends View {
  public static class LayoutParams { public static final int MATCH_PARENT = -1, WRAP_CONTENT = -2; public LayoutParams(int w, int h) {} }
  public ViewGroup(android.content.Context c) { super(c); }
  public void addView(View v) {}
  public void addView(View v, LayoutParams p) {} }""",
    "android.widget.LinearLayout": """public class LinearLayout extends android.view.ViewGroup {
  public static final int VERTICAL = 1;
  public static class LayoutParams extends android.view.ViewGroup.LayoutParams { public LayoutParams(int w, int h) { super(w, h); } }
  public LinearLayout(android.content.Context c) { super(c); }
  public int getOrientation() { return 0; }
  public void setOrientation(int o) {} }""",
    "android.widget.ScrollView": "public class ScrollView extends android.view.ViewGroup { public ScrollView(android.content.Context c) { super(c); } }",
    "android.widget.TextView": """public class TextView extends android.view.View {
  public TextView(android.content.Context c) { super(c); }
  public CharSequence getText() { return null; }
  public final void setText(CharSequence s) {}
  public float getTextSize() { return 0; }
  public void setTextSize(float s) {}
  public void addTextChangedListener(android.text.TextWatcher w) {} }""",
    "android.widget.Button": "public class Button extends TextView { public Button(android.content.Context c) { super(c); } }",
    "android.widget.EditText": "public class EditText extends TextView { public EditText(android.content.Context c) { super(c); } }",
    "android.widget.SpinnerAdapter": "public interface SpinnerAdapter {}",
    "android.widget.ArrayAdapter": """public class ArrayAdapter<T> implements SpinnerAdapter {
  public ArrayAdapter(android.content.Context c, int resource, java.util.List<T> items) {} }""",
    "android.widget.Spinner": """public class Spinner extends android.view.ViewGroup {
  public Spinner(android.content.Context c) { super(c); }
  public SpinnerAdapter getAdapter() { return null; }
  public void setAdapter(SpinnerAdapter a) {}
  public Object getSelectedItem() { return null; } }""",
}


def write(folder: Path) -> list[Path]:
    made = []
    for name, body in CLASSES.items():
        package, _, plain = name.rpartition(".")
        file = folder / package.replace(".", "/") / f"{plain}.java"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"package {package};\n{body}\n")
        made.append(file)
    return made
