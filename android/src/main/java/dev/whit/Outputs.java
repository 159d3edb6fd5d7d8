package dev.whit;

import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.nio.ShortBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Where the outputs of a run go. Those whose shapes the plan knows are written by the run itself, to a new tensor or to the direct
 * buffer that the caller gave; the others are copied afterwards.
 */
final class Outputs {
    final Buffer[] buffers;
    /** Of each: offset in its buffer, and bytes that the run may write; these are -1 afterwards if it could not write in place. */
    final int[] places;
    private final long instance;
    private final Signature signature;
    private final Object[] given;
    private final Tensor[] made;
    private final int[] record = new int[Native.RECORD];

    /** planned: what an earlier run of this plan found, or null. */
    Outputs(long instance, Signature signature, Map<String, ?> wanted, boolean[] planned) {
        this.instance = instance;
        this.signature = signature;
        int n = signature.outputs().size();
        buffers = new Buffer[n];
        places = new int[2 * n];
        given = new Object[n];
        made = new Tensor[n];
        if (wanted != null) {
            for (Map.Entry<String, ?> e : wanted.entrySet()) {
                int k = signature.output(e.getKey());
                if (k < 0)
                    throw new WhitException("the model has no output '" + e.getKey() + "'; it has " + Signature.names(signature.outputs()));
                given[k] = e.getValue();
            }
        }
        for (int k = 0; k < n; k++) if (planned == null || planned[k]) prepare(k);
    }

    private void prepare(int k) {
        Native.outputRead(instance, k, -1, record, null);
        if (record[0] != Native.TENSOR || record[2] == Native.UNKNOWN_RANK || record[1] == 0) return;
        DType dtype = DType.of(record[1]);
        int[] shape = shape(record);
        int needed = Tensor.bytes(dtype, shape);
        if (given[k] != null) {
            checkRoom(k, dtype, shape, needed);
            Buffer direct = direct(given[k]);
            if (direct != null) {
                buffers[k] = direct;
                places[2 * k] = given[k] instanceof Tensor ? 0 : Feed.offset(direct, dtype);
                places[2 * k + 1] = needed;
            }
        }
        if (buffers[k] == null) {
            made[k] = Tensor.zeros(dtype, shape);
            buffers[k] = made[k].memory;
            places[2 * k + 1] = needed;
        }
    }

    private static Buffer direct(Object target) {
        if (target instanceof Tensor) return ((Tensor) target).memory;
        return target instanceof Buffer && ((Buffer) target).isDirect() ? (Buffer) target : null;
    }

    private void checkRoom(int k, DType dtype, int[] shape, int needed) {
        Object target = given[k];
        int room;
        if (target instanceof Tensor) room = ((Tensor) target).dtype() == dtype ? ((Tensor) target).memory.capacity() : -1;
        else room = Feed.bytes(dtype, target);
        boolean readOnly = target instanceof Tensor ? ((Tensor) target).memory.isReadOnly() : target instanceof Buffer && ((Buffer) target).isReadOnly();
        if (room < needed || readOnly)
            throw new WhitException("output '" + signature.outputs().get(k).name() + "': " + dtype + " " + java.util.Arrays.toString(shape)
                + " does not go into " + (readOnly ? "a read-only buffer" : Feed.describe(target)));
    }

    /** Which outputs the run wrote in place. */
    boolean[] bound() {
        boolean[] found = new boolean[buffers.length];
        for (int k = 0; k < found.length; k++) found[k] = buffers[k] != null && places[2 * k + 1] >= 0;
        return found;
    }

    /** Output k after the run. */
    Object value(int k) {
        Object value;
        if (buffers[k] != null && places[2 * k + 1] >= 0) {
            value = made[k];
        } else {
            Native.outputRead(instance, k, -1, record, null);
            value = read(k);
        }
        if (given[k] == null) return value;
        if (value == null) return tensorOver(k);
        if (!(value instanceof Tensor))
            throw new WhitException("output '" + signature.outputs().get(k).name() + "' is no tensor: it cannot go into a buffer");
        Tensor t = (Tensor) value;
        checkRoom(k, t.dtype(), t.shape(), t.memory.capacity());
        copy(t, given[k]);
        return t;
    }

    /** The caller's own memory, which the run wrote. */
    private Object tensorOver(int k) {
        if (buffers[k] == null) return null; // absent
        Native.outputRead(instance, k, -1, record, null);
        if (given[k] instanceof Tensor && java.util.Arrays.equals(((Tensor) given[k]).dimensions(), shape(record))) return given[k];
        ByteBuffer memory = given[k] instanceof Tensor ? ((Tensor) given[k]).buffer() : null;
        if (memory == null && given[k] instanceof ByteBuffer) {
            memory = ((ByteBuffer) given[k]).duplicate();
            memory.order(java.nio.ByteOrder.nativeOrder());
        }
        DType dtype = DType.of(record[1]);
        if (memory != null) {
            memory.limit(memory.position() + places[2 * k + 1]);
            return Tensor.wrap(memory, dtype, shape(record));
        }
        Tensor copy = Tensor.zeros(dtype, shape(record)); // of a FloatBuffer and the like there is no ByteBuffer
        Native.outputRead(instance, k, -1, record, copy.memory);
        return copy;
    }

    private Object read(int k) {
        if (record[0] == Native.TENSOR) {
            Tensor t = Tensor.zeros(DType.of(record[1]), shape(record));
            Native.outputRead(instance, k, -1, record, t.memory);
            return t;
        }
        if (record[0] != Native.SEQUENCE) return null;
        int n = record[3];
        List<Tensor> items = new ArrayList<>(n);
        for (int i = 0; i < n; i++) {
            Tensor item = null;
            if (Native.outputRead(instance, k, i, record, null) && record[0] == Native.TENSOR) {
                item = Tensor.zeros(DType.of(record[1]), shape(record));
                Native.outputRead(instance, k, i, record, item.memory);
            }
            items.add(item);
        }
        return items;
    }

    static int[] shape(int[] record) {
        int[] shape = new int[record[2]];
        System.arraycopy(record, 3, shape, 0, shape.length);
        return shape;
    }

    private static void copy(Tensor from, Object to) {
        ByteBuffer b = from.buffer();
        if (to instanceof Tensor) ((Tensor) to).buffer().put(b);
        else if (to instanceof float[]) b.asFloatBuffer().get((float[]) to, 0, from.size());
        else if (to instanceof double[]) b.asDoubleBuffer().get((double[]) to, 0, from.size());
        else if (to instanceof int[]) b.asIntBuffer().get((int[]) to, 0, from.size());
        else if (to instanceof long[]) b.asLongBuffer().get((long[]) to, 0, from.size());
        else if (to instanceof short[]) b.asShortBuffer().get((short[]) to, 0, from.size());
        else if (to instanceof byte[]) b.get((byte[]) to, 0, from.size());
        else if (to instanceof boolean[]) for (int k = 0; k < from.size(); k++) ((boolean[]) to)[k] = b.get(k) != 0;
        else if (to instanceof FloatBuffer) ((FloatBuffer) to).duplicate().put(b.asFloatBuffer());
        else if (to instanceof DoubleBuffer) ((DoubleBuffer) to).duplicate().put(b.asDoubleBuffer());
        else if (to instanceof IntBuffer) ((IntBuffer) to).duplicate().put(b.asIntBuffer());
        else if (to instanceof LongBuffer) ((LongBuffer) to).duplicate().put(b.asLongBuffer());
        else if (to instanceof ShortBuffer) ((ShortBuffer) to).duplicate().put(b.asShortBuffer());
        else ((ByteBuffer) to).duplicate().put(b);
    }
}
