package dev.whit;

import java.util.Map;

/** What one run shall do beside giving new tensors. */
public final class RunOptions {
    String entry;
    Map<String, ?> outputs;
    Cancellation cancellation;

    /** The entry point; the first one if it is not set. */
    public RunOptions entry(String name) {
        entry = name;
        return this;
    }

    /**
     * Where outputs go, by name: a {@link Tensor}, a direct buffer or an array of the output's type, large enough. Those that are not
     * named come as new tensors.
     */
    public RunOptions outputs(Map<String, ?> outputs) {
        this.outputs = outputs;
        return this;
    }

    /** What can end the run from another thread. */
    public RunOptions cancellation(Cancellation cancellation) {
        this.cancellation = cancellation;
        return this;
    }
}
