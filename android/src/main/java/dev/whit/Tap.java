package dev.whit;

/** A listener's place in a session; closing it ends that. */
public final class Tap implements AutoCloseable {
    private final Session session;
    final String pattern;
    final TapListener listener;

    Tap(Session session, String pattern, TapListener listener) {
        this.session = session;
        this.pattern = pattern;
        this.listener = listener;
    }

    /** The listener is called no more. A second call does nothing, as does one after the session was closed. */
    @Override
    public void close() {
        session.remove(this);
    }
}
