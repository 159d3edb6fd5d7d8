package dev.whit;

/** A run that {@link Session#cancel}, a {@link Cancellation} or the closing of its session ended. */
public final class CancelledException extends WhitException {
    private static final long serialVersionUID = 1;

    CancelledException() {
        super(Native.E_CANCELLED, "", "", "the run was cancelled");
    }
}
