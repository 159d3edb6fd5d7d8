package dev.whit;

/** What concerns all models of a process. */
public final class Whit {
    private static volatile Leak listener;
    private static volatile boolean track;

    private Whit() {}

    /** Who hears of models and sessions that were never closed; null (the default): System.err, which is Android's log. */
    public static void setLeakListener(Leak leak) {
        listener = leak;
    }

    /** Remembers where every model and session is opened, so that a leak's report says it. Costs some microseconds an opening. */
    public static void trackLeaks(boolean on) {
        track = on;
    }

    static Throwable opened(String what) {
        return track ? new Throwable(what + " was opened here") : null;
    }

    static void report(String message, Throwable opened) {
        Leak leak = listener;
        if (leak != null) {
            leak.onLeak(message, opened);
            return;
        }
        System.err.println(message);
        if (opened != null) opened.printStackTrace();
    }
}
