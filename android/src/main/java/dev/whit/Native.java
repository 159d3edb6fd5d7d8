package dev.whit;

import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.charset.Charset;

/**
 * The functions of libwhit.so. Handles are addresses: only {@link Model}, {@link Session} and {@link Workers} hold them, and pass them
 * on under a lock while what they stand for is open.
 */
final class Native {
    static final int OK = 0, STOPPED = 1, E_INPUT = 0x11, E_ALIGN = 0x13, E_FORMAT = 0x20, E_OPERATOR = 0x22, E_MEMORY = 0x30;
    static final int E_CANCELLED = 0x44;
    /** Ints that describe a value: what it is, its dtype, rank and dimensions. */
    static final int RECORD = 11, UNKNOWN_RANK = 255;
    /** The same of an input, and behind them where in its buffer it lies. */
    static final int FEED = RECORD + 1;
    static final int TENSOR = 0, SEQUENCE = 1, ABSENT = 2, ITEM = 3;
    static final int TEXT_ENTRY = 0, TEXT_PORT = 1, TEXT_SYMBOL = 2, TEXT_OPERATOR = 3, TEXT_NODE = 4;
    static final int NUMBER_NODES = 0, NUMBER_STATE_BYTES = 1, NUMBER_INSTANCE_BYTES = 2;
    static final int SESSION_STEPS = 0, SESSION_ARENA_BYTES = 1, SESSION_ERROR_NODE = 2;
    static final int WATCH_BEFORE = 1, WATCH_AFTER = 2;

    private static final Charset UTF_8 = Charset.forName("UTF-8");

    static {
        String path = System.getProperty("dev.whit.library"); // a desktop's tests name the file
        if (path == null) System.loadLibrary("whit");
        else System.load(path);
    }

    private Native() {}

    static String text(byte[] bytes) {
        return bytes == null ? "" : new String(bytes, UTF_8);
    }

    static native long modelOpen(ByteBuffer bytes, int offset, int length, boolean copy, int[] statusAndOffset);

    static native void modelClose(long model);

    static native ByteBuffer modelBytes(long model);

    static native byte[] modelText(long model, int what, int a, int outputs, int k, int dimension);

    static native boolean modelPort(long model, int entry, int outputs, int k, int[] record);

    static native long modelNumber(long model, int what);

    static native byte[] statusText(int status);

    static native long memoryTake(long bytes);

    static native void memoryGive(long memory, long bytes);

    static native long poolOpen(int threads);

    static native void poolWork(long pool);

    static native void poolStop(long pool);

    static native void poolClose(long pool);

    static native long sessionOpen(long model, int entry, long pool, int threads, ByteBuffer cancel, long maxSteps);

    static native void sessionClose(long session);

    static native int sessionState(long session, long state, boolean reset);

    static native int sessionSet(long session, int[] records, Buffer[] buffers, boolean plan);

    static native int sessionRun(long session, Buffer[] outputs, int[] offsetsAndBytes, Object owner);

    static native long sessionNumber(long session, int what);

    static native boolean sessionWatch(long session, byte[] nodes);

    static native boolean sessionProfile(long session, boolean on);

    static native void profileRead(long session, long[] timesAndCounts);

    static native boolean outputRead(long session, int k, int item, int[] record, ByteBuffer to);

    static native boolean nodeRead(long session, int node, boolean after, int k, int item, int[] record, ByteBuffer to);

    static native int loopPath(long session, long[] iterations);

    static native byte[] errorText(long session);
}
