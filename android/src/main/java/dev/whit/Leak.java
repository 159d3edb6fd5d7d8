package dev.whit;

/** Told of models and sessions that the garbage collector found open. Their memory is given back all the same. */
public interface Leak {
    /**
     * Called on a thread of Whit's.
     *
     * @param message a sentence
     * @param opened where it was opened; null unless {@link Whit#trackLeaks} was on then
     */
    void onLeak(String message, Throwable opened);
}
