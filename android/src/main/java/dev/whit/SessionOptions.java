package dev.whit;

/** How a session computes. */
public final class SessionOptions {
    int threads = 1;
    long maxSteps;

    /** How many threads compute, the caller's included: 1 to 256, 1 if it is not set. Results do not depend on it. */
    public SessionOptions threads(int n) {
        if (n < 1 || n > 256) throw new IllegalArgumentException("threads(" + n + "): expected 1 to 256");
        threads = n;
        return this;
    }

    /** Nodes executed after which a run fails; 0: no limit. */
    public SessionOptions maxSteps(long n) {
        if (n < 0) throw new IllegalArgumentException("maxSteps(" + n + "): expected 0 or more");
        maxSteps = n;
        return this;
    }
}
