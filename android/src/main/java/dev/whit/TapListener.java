package dev.whit;

/** Sees values while a model runs. */
public interface TapListener {
    /**
     * Called on the thread of the run, which waits. What it throws ends the run and is thrown by it.
     *
     * @param name the source model's name of the value
     * @param iterations of the loops around it, from 0, the outermost first; empty outside loops
     * @param value a copy: a {@link Tensor}, a list of them for a sequence, or null
     */
    void onValue(String name, long[] iterations, Object value);
}
