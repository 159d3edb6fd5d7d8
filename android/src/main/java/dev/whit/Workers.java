package dev.whit;

import java.util.HashMap;
import java.util.Map;

/** Threads that help the thread of a run. Sessions with the same number of threads share them. */
final class Workers {
    private static final Map<Integer, Workers> POOLS = new HashMap<>();

    final long pool;
    private final int n;
    private final Thread[] threads;
    private int users;

    private Workers(int n) {
        this.n = n;
        pool = Native.poolOpen(n);
        if (pool == 0) throw new WhitException(Native.E_MEMORY, "", "", "no memory for " + n + " threads");
        threads = new Thread[n - 1];
        try {
            for (int k = 0; k < threads.length; k++) {
                threads[k] = new Thread("whit-worker-" + (k + 1)) {
                    @Override
                    public void run() {
                        Native.poolWork(pool);
                    }
                };
                threads[k].setDaemon(true);
                threads[k].start();
            }
        } catch (OutOfMemoryError e) { // the system gives no more threads
            end();
            throw new WhitException(Native.E_MEMORY, "", "", "threads(" + n + "): the system gives no such number of threads");
        }
    }

    /** Those of a session; null for one thread, which is the caller's. */
    static Workers take(int n) {
        if (n < 2) return null;
        synchronized (POOLS) {
            Workers w = POOLS.get(n);
            if (w == null) POOLS.put(n, w = new Workers(n));
            w.users++;
            return w;
        }
    }

    static void give(Workers w) {
        if (w == null) return;
        synchronized (POOLS) {
            if (--w.users > 0) return;
            POOLS.remove(w.n);
            w.end();
        }
    }

    private void end() {
        Native.poolStop(pool);
        boolean interrupted = false;
        for (Thread t : threads) {
            while (t != null && t.isAlive()) {
                try {
                    t.join();
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        }
        Native.poolClose(pool);
        if (interrupted) Thread.currentThread().interrupt();
    }
}
