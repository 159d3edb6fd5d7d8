package dev.whit;

/**
 * Ends one run from another thread, even if it is cancelled before that run has begun: give it to {@link RunOptions#cancellation}.
 * One serves for one run.
 */
public final class Cancellation {
    private boolean cancelled;
    private Session running;

    /** Ends the run, or keeps it from beginning. Any thread may call it, any number of times. */
    public void cancel() {
        Session session;
        synchronized (this) {
            cancelled = true;
            session = running;
        }
        if (session != null) session.cancel(this);
    }

    public synchronized boolean isCancelled() {
        return cancelled;
    }

    /** The session is ready to be cancelled. */
    synchronized void begin(Session session) {
        if (cancelled) throw new CancelledException();
        if (running != null) throw new IllegalStateException("a Cancellation serves for one run at a time");
        running = session;
    }

    synchronized void end(Session session) {
        if (running == session) running = null;
    }
}
