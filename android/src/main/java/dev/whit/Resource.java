package dev.whit;

import java.lang.ref.PhantomReference;
import java.lang.ref.ReferenceQueue;
import java.util.Collections;
import java.util.HashSet;
import java.util.Set;

/**
 * Native memory behind an object that should be closed. If the garbage collector finds the object first, a thread of ours says so
 * and frees the memory.
 */
abstract class Resource extends PhantomReference<Object> {
    private static final ReferenceQueue<Object> FOUND = new ReferenceQueue<>();
    private static final Set<Resource> OPEN = Collections.synchronizedSet(new HashSet<Resource>());

    static {
        Thread thread = new Thread("whit-leaks") {
            @Override
            public void run() {
                while (true) {
                    try {
                        ((Resource) FOUND.remove()).leaked();
                    } catch (InterruptedException e) {
                        return;
                    } catch (RuntimeException e) {
                        e.printStackTrace(); // of a listener
                    }
                }
            }
        };
        thread.setDaemon(true);
        thread.start();
    }

    private final String what;
    private final Throwable opened;

    Resource(Object owner, String what) {
        super(owner, FOUND);
        this.what = what;
        opened = Whit.opened(what);
        OPEN.add(this);
    }

    /** Frees the memory; called once. */
    abstract void free();

    /** The owner was closed. */
    final void close() {
        if (!OPEN.remove(this)) return;
        clear();
        free();
    }

    private void leaked() {
        if (!OPEN.remove(this)) return;
        free();
        Whit.report("A resource was acquired but never released: " + what + " was not closed. Call close(), or open it in"
            + (opened == null ? " try-with-resources. Whit.trackLeaks(true) tells where it was opened." : " try-with-resources."), opened);
    }

    /** How many are open; for tests. */
    static int open() {
        return OPEN.size();
    }
}
