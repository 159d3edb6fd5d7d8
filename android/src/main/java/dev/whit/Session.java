package dev.whit;

import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Runs a model, one run at a time: threads that call it at once wait for each other. It holds the model's persistent state, if there
 * is any, for all entry points. {@link #cancel} and {@link #close} may be called from any thread at any time.
 *
 * <p>An input is a {@link Tensor}, an array (float[] for float32 and so on), a number, a direct buffer, or a list of those for
 * a sequence. Arrays are copied when a run begins. Tensors and direct buffers are read in place and must not be written to before the
 * run ends.
 */
public final class Session implements AutoCloseable {
    private final Object lock = new Object();
    private final Object cancelLock = new Object();
    private final Model model;
    private final Memory memory;
    private final Feed[] feeds;
    private final boolean[][] planned; // per entry point: the outputs that a run writes in place
    private final List<Tap> taps = new ArrayList<>();
    private volatile Thread runner;
    private volatile boolean closing;
    private boolean closed;
    private boolean running;
    private Cancellation token;
    private boolean profiling;
    private boolean resetState = true;
    private Watcher watcher;

    /** The native instances, one an entry point, and what they share. */
    private static final class Memory extends Resource {
        final long model;
        final long[] instances;
        final long state;
        final long stateBytes;
        final Workers workers;
        final ByteBuffer cancel = ByteBuffer.allocateDirect(4).order(ByteOrder.nativeOrder());
        private final Runnable modelUser;

        Memory(Session owner, Model model, long handle, Workers workers) {
            super(owner, "a session of " + model);
            this.model = handle;
            instances = new long[model.entries().size()];
            modelUser = model.user();
            stateBytes = Native.modelNumber(handle, Native.NUMBER_STATE_BYTES);
            state = stateBytes > 0 ? Native.memoryTake(stateBytes) : 0;
            this.workers = workers;
        }

        @Override
        void free() {
            for (long i : instances) if (i != 0) Native.sessionClose(i);
            if (state != 0) Native.memoryGive(state, stateBytes);
            Workers.give(workers);
            modelUser.run();
        }
    }

    private final SessionOptions options;

    Session(Model model, long handle, SessionOptions options) {
        this.model = model;
        this.options = new SessionOptions().threads(options.threads).maxSteps(options.maxSteps);
        feeds = new Feed[model.entries().size()];
        planned = new boolean[feeds.length][];
        memory = new Memory(this, model, handle, Workers.take(options.threads));
    }

    // ---- running ----

    /** Runs the first entry point on inputs by position. */
    public Result run(Object... inputs) {
        List<Port> ports = model.signature().inputs();
        if (inputs.length > ports.size())
            throw new WhitException(inputs.length + " inputs given; the model has " + ports.size() + ": " + Signature.names(ports));
        Object[] values = new Object[ports.size()];
        System.arraycopy(inputs, 0, values, 0, inputs.length);
        return run(model.signature(), values, new RunOptions());
    }

    /** Runs the first entry point on inputs by name. */
    public Result run(Map<String, ?> inputs) {
        return run(inputs, new RunOptions());
    }

    /** Runs an entry point on inputs by name. */
    public Result run(String entry, Map<String, ?> inputs) {
        return run(inputs, new RunOptions().entry(entry));
    }

    /** Runs on inputs by name. What an optional input is not given, or null, is absent. */
    public Result run(Map<String, ?> inputs, RunOptions options) {
        Signature signature = options.entry == null ? model.signature() : model.signature(options.entry);
        List<Port> ports = signature.inputs();
        Object[] values = new Object[ports.size()];
        for (Map.Entry<String, ?> e : inputs.entrySet()) {
            int k = Signature.find(ports, e.getKey());
            if (k < 0) throw new WhitException("the model has no input '" + e.getKey() + "'; it has " + Signature.names(ports));
            values[k] = e.getValue();
        }
        return run(signature, values, options);
    }

    private Result run(Signature signature, Object[] inputs, RunOptions options) {
        synchronized (lock) {
            check();
            runner = Thread.currentThread();
            Feed feed = null;
            try {
                begin(options.cancellation);
                long instance = instance(signature.index);
                feed = feeds[signature.index];
                return run(signature, instance, feed, inputs, options);
            } finally {
                if (feed != null) feed.release();
                end(options.cancellation);
                runner = null;
            }
        }
    }

    private void begin(Cancellation cancellation) {
        synchronized (cancelLock) {
            running = true;
            memory.cancel.putInt(0, closing ? 1 : 0);
            token = cancellation;
        }
        if (cancellation != null) cancellation.begin(this);
    }

    private void end(Cancellation cancellation) {
        synchronized (cancelLock) {
            running = false;
            token = null;
        }
        if (cancellation != null) cancellation.end(this);
    }

    private Result run(Signature signature, long instance, Feed feed, Object[] inputs, RunOptions options) {
        boolean plan = feed.set(signature.inputs(), inputs);
        if (plan) feed.unplanned();
        check(instance, Native.sessionSet(instance, feed.records, feed.buffers, plan));
        int n = signature.outputs().size();
        if (plan) {
            feed.planned();
            planned[signature.index] = null;
        }
        Outputs outputs = new Outputs(instance, signature, options.outputs, planned[signature.index]);
        watch(instance, signature);
        int status = Native.sessionRun(instance, outputs.buffers, outputs.places, this);
        check(instance, status);
        planned[signature.index] = outputs.bound();
        Object[] values = new Object[n];
        for (int k = 0; k < n; k++) values[k] = outputs.value(k);
        return new Result(signature, values, Native.sessionNumber(instance, Native.SESSION_STEPS));
    }

    private long instance(int entry) {
        long instance = memory.instances[entry];
        if (instance != 0) return instance;
        long pool = memory.workers == null ? 0 : memory.workers.pool;
        instance = Native.sessionOpen(memory.model, entry, pool, options.threads, memory.cancel, options.maxSteps);
        if (instance == 0 || (memory.stateBytes > 0 && memory.state == 0)) {
            if (instance != 0) Native.sessionClose(instance);
            throw new WhitException(Native.E_MEMORY, "", "", "no memory for a session");
        }
        memory.instances[entry] = instance;
        feeds[entry] = new Feed();
        if (memory.state != 0) {
            check(instance, Native.sessionState(instance, memory.state, resetState));
            resetState = false;
        }
        if (profiling) Native.sessionProfile(instance, true);
        return instance;
    }

    private void check(long instance, int status) {
        if (status == Native.OK) return;
        if (status == Native.E_CANCELLED) throw new CancelledException();
        String sentence = Native.text(Native.statusText(status));
        if (status == Native.E_ALIGN) throw new WhitException(status, "", "", "a buffer does not begin at a multiple of its element's size");
        String cause = Native.text(Native.errorText(instance));
        if (!cause.isEmpty() && !cause.equals(sentence)) sentence += ": " + cause;
        int node = (int) Native.sessionNumber(instance, Native.SESSION_ERROR_NODE);
        if (node < 0) throw new WhitException(status, "", "", sentence);
        String name = Native.text(Native.modelText(memory.model, Native.TEXT_NODE, node, 0, 0, 0));
        String operator = Native.text(Native.modelText(memory.model, Native.TEXT_OPERATOR, node, 0, 0, 0));
        throw new WhitException(status, name.isEmpty() ? "#" + node : name, operator, sentence);
    }

    private void check() {
        if (runner == Thread.currentThread())
            throw new IllegalStateException("a tap's listener may not use the session whose run it sees");
        if (closed || closing) throw new IllegalStateException("the session is closed");
    }

    // ---- state ----

    /** Gives the model's persistent state its initial values. */
    public void resetState() {
        synchronized (lock) {
            check();
            for (long i : memory.instances) {
                if (i == 0 || memory.state == 0) continue;
                check(i, Native.sessionState(i, memory.state, true));
                return;
            }
        }
    }

    // ---- cancelling ----

    /** Ends the run in progress, if there is one, with {@link CancelledException}, before its next node. Safe at any time. */
    public void cancel() {
        synchronized (cancelLock) {
            if (running) memory.cancel.putInt(0, 1);
        }
    }

    void cancel(Cancellation of) {
        synchronized (cancelLock) {
            if (running && token == of) memory.cancel.putInt(0, 1);
        }
    }

    // ---- looking inside ----

    /**
     * Shows values of the source model to a listener while runs go on, until the tap is closed.
     *
     * @param pattern name of a value or node of the source model, or a glob ({@code decoder/*}); {@code @} and a choice of iteration
     *     behind it for values in loops: {@code x@3} is iteration 3 of the innermost loop, {@code x@2.3} that of iteration 2 of the
     *     loop around it; without one, every iteration is shown
     */
    public Tap tap(String pattern, TapListener listener) {
        synchronized (lock) {
            check();
            new Watcher(model.names(), pattern); // says what is wrong with it
            Tap tap = new Tap(this, pattern, listener);
            taps.add(tap);
            watcher = null;
            return tap;
        }
    }

    void remove(Tap tap) {
        synchronized (lock) {
            if (runner == Thread.currentThread())
                throw new IllegalStateException("a tap's listener may not close taps of the session whose run it sees");
            taps.remove(tap);
            watcher = null;
        }
    }

    private void watch(long instance, Signature signature) {
        if (taps.isEmpty()) {
            Native.sessionWatch(instance, null);
            return;
        }
        watcher = new Watcher(model.names(), taps);
        if (!Native.sessionWatch(instance, watcher.nodes())) throw new WhitException(Native.E_MEMORY, "", "", "no memory for taps");
        watcher.begin(instance);
    }

    /** Called by the native half at a node that is watched. */
    @SuppressWarnings("unused")
    private void onNode(int node, boolean after) {
        watcher.onNode(node, after);
    }

    /** From now on the time of every node is measured. */
    public void startProfile() {
        synchronized (lock) {
            check();
            for (long i : memory.instances)
                if (i != 0 && !Native.sessionProfile(i, true)) throw new WhitException(Native.E_MEMORY, "", "", "no memory for a profile");
            profiling = true;
        }
    }

    /** What was measured since {@link #startProfile}; measuring ends. */
    public Profile stopProfile() {
        synchronized (lock) {
            check();
            if (!profiling) throw new IllegalStateException("startProfile() comes first");
            profiling = false;
            int n = (int) Native.modelNumber(memory.model, Native.NUMBER_NODES);
            List<Profile.Item> items = new ArrayList<>();
            long[] times = new long[2 * n];
            for (long i : memory.instances) {
                if (i == 0) continue;
                Native.profileRead(i, times);
                Native.sessionProfile(i, false);
                for (int node = 0; node < n; node++) {
                    if (times[n + node] == 0) continue;
                    String name = Native.text(Native.modelText(memory.model, Native.TEXT_NODE, node, 0, 0, 0));
                    String operator = Native.text(Native.modelText(memory.model, Native.TEXT_OPERATOR, node, 0, 0, 0));
                    items.add(new Profile.Item(node, operator, name, times[n + node], times[node]));
                }
                java.util.Arrays.fill(times, 0);
            }
            return new Profile(items);
        }
    }

    /** Bytes that values take in a run: of the latest shapes, for every entry point that has run. */
    public long arenaBytes() {
        synchronized (lock) {
            check();
            long sum = 0;
            for (long i : memory.instances) if (i != 0) sum += Native.sessionNumber(i, Native.SESSION_ARENA_BYTES);
            return sum;
        }
    }

    /** Bytes of the tables of an entry point. */
    public long instanceBytes() {
        synchronized (lock) {
            check();
            return Native.modelNumber(memory.model, Native.NUMBER_INSTANCE_BYTES);
        }
    }

    /** Bytes of the persistent state. */
    public long stateBytes() {
        return memory.stateBytes;
    }

    // ---- closing ----

    /** Ends a run in progress with {@link CancelledException}, waits for that, and gives all memory back. */
    @Override
    public void close() {
        if (runner == Thread.currentThread()) throw new IllegalStateException("a tap's listener may not close the session whose run it sees");
        synchronized (cancelLock) {
            if (closing) throw new IllegalStateException("the session is closed already");
            closing = true;
            memory.cancel.putInt(0, 1);
        }
        synchronized (lock) {
            closed = true;
            taps.clear();
            memory.close();
        }
    }
}
