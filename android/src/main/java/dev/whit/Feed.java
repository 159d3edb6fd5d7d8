package dev.whit;

import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.nio.ShortBuffer;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The inputs of a run as the native half reads them: a record of ints and a buffer each. Direct buffers are passed as they are; arrays
 * and numbers are copied to memory that is kept from run to run.
 */
final class Feed {
    int[] records = new int[0];
    Buffer[] buffers = new Buffer[0];
    private int n;
    private final Map<Integer, ByteBuffer> staging = new HashMap<>();
    private int[] planned = new int[0];
    private int nPlanned = -1;

    /** Prepares the values, in the order of the ports. True if the shapes are not those of the latest {@link #planned}. */
    boolean set(List<Port> ports, Object[] values) {
        n = 0;
        int total = ports.size();
        for (Object v : values) if (v instanceof Collection) total += ((Collection<?>) v).size();
        if (buffers.length != total) {
            records = new int[total * Native.FEED];
            buffers = new Buffer[total];
        }
        Map<String, Object[]> symbols = new HashMap<>();
        for (int k = 0; k < values.length; k++) {
            Port port = ports.get(k);
            Object value = values[k];
            if (value == null) {
                if (!port.isOptional()) throw new WhitException("input '" + port.name() + "' is missing: expected " + port);
                add(Native.ABSENT, 0, new int[0], null, 0);
            } else if (port.isSequence()) {
                if (!(value instanceof List)) throw wrong(port, port.name(), value);
                List<?> items = (List<?>) value;
                add(Native.SEQUENCE, items.size(), new int[0], null, 0);
                for (int i = 0; i < items.size(); i++) tensor(Native.ITEM, port, port.name() + "[" + i + "]", items.get(i));
            } else {
                tensor(Native.TENSOR, port, port.name(), value);
                checkSymbols(port, symbols);
            }
        }
        return !isPlanned();
    }

    /** The instance is planned for the shapes that were set. */
    void planned() {
        planned = records.clone();
        nPlanned = n;
    }

    void unplanned() {
        nPlanned = -1;
    }

    /** Lets go of the caller's buffers. */
    void release() {
        Arrays.fill(buffers, null);
    }

    /** Items of sequences may differ: they need no new plan. */
    private boolean isPlanned() {
        if (nPlanned < 0) return false;
        int a = 0, b = 0;
        while (a < n && b < nPlanned) {
            int x = a * Native.FEED, y = b * Native.FEED;
            if (records[x] != planned[y]) return false;
            if (records[x] == Native.SEQUENCE) {
                a += records[x + 1];
                b += planned[y + 1];
            } else {
                for (int k = 1; k < Native.RECORD; k++) if (records[x + k] != planned[y + k]) return false;
            }
            a++;
            b++;
        }
        return a == n && b == nPlanned;
    }

    private void add(int kind, int dtype, int[] shape, Buffer buffer, int offset) {
        int at = n * Native.FEED;
        Arrays.fill(records, at, at + Native.FEED, 0);
        records[at] = kind;
        records[at + 1] = dtype;
        records[at + 2] = shape.length;
        System.arraycopy(shape, 0, records, at + 3, shape.length);
        records[at + Native.RECORD] = offset;
        buffers[n++] = buffer;
    }

    private void tensor(int kind, Port port, String name, Object value) {
        DType dtype = port.dtype();
        if (value instanceof Tensor) {
            Tensor t = (Tensor) value;
            if (t.dtype() != dtype || !fits(port.dimensions(), t.dimensions())) throw wrong(port, name, value);
            add(kind, dtype.code, t.dimensions(), t.memory, 0);
            return;
        }
        Object v = value instanceof Number || value instanceof Boolean ? array(port, name, value) : value;
        int bytes = bytes(dtype, v);
        if (bytes < 0) throw wrong(port, name, value);
        boolean scalar = v != value;
        int[] shape = scalar && port.dimensions() == null ? new int[0] : shape(port, name, value, bytes / dtype.bytes());
        if (v instanceof Buffer && ((Buffer) v).isDirect()) add(kind, dtype.code, shape, (Buffer) v, offset((Buffer) v, dtype));
        else add(kind, dtype.code, shape, copy(v, bytes), 0);
    }

    /** A number as an array of one element, if the type has it exactly (floats are rounded). */
    private static Object array(Port port, String name, Object value) {
        double d = value instanceof Boolean ? ((Boolean) value ? 1 : 0) : ((Number) value).doubleValue();
        long l = value instanceof Number ? ((Number) value).longValue() : (long) d;
        switch (port.dtype()) {
            case FLOAT32: return new float[] {(float) d};
            case FLOAT64: return new double[] {d};
            default:
        }
        if (value instanceof Float || value instanceof Double) throw wrong(port, name, value);
        switch (port.dtype()) {
            case BOOL: if (value instanceof Boolean) return new boolean[] {d != 0}; break;
            case INT64: case UINT64: return new long[] {l};
            case INT32: if (l == (int) l) return new int[] {(int) l}; break;
            case UINT32: if (l >>> 32 == 0) return new int[] {(int) l}; break;
            case INT16: if (l == (short) l) return new short[] {(short) l}; break;
            case UINT16: if (l >>> 16 == 0) return new short[] {(short) l}; break;
            case INT8: if (l == (byte) l) return new byte[] {(byte) l}; break;
            case UINT8: if (l >>> 8 == 0) return new byte[] {(byte) l}; break;
            default:
        }
        throw wrong(port, name, value);
    }

    /** Bytes of an array's or buffer's elements, or -1 if it cannot hold this type. */
    static int bytes(DType dtype, Object v) {
        switch (dtype) {
            case FLOAT32:
                if (v instanceof float[]) return 4 * ((float[]) v).length;
                if (v instanceof FloatBuffer) return 4 * ordered(((FloatBuffer) v).order(), dtype, ((FloatBuffer) v).remaining());
                break;
            case FLOAT64:
                if (v instanceof double[]) return 8 * ((double[]) v).length;
                if (v instanceof DoubleBuffer) return 8 * ordered(((DoubleBuffer) v).order(), dtype, ((DoubleBuffer) v).remaining());
                break;
            case INT32: case UINT32:
                if (v instanceof int[]) return 4 * ((int[]) v).length;
                if (v instanceof IntBuffer) return 4 * ordered(((IntBuffer) v).order(), dtype, ((IntBuffer) v).remaining());
                break;
            case INT64: case UINT64:
                if (v instanceof long[]) return 8 * ((long[]) v).length;
                if (v instanceof LongBuffer) return 8 * ordered(((LongBuffer) v).order(), dtype, ((LongBuffer) v).remaining());
                break;
            case BOOL:
                if (v instanceof boolean[]) return ((boolean[]) v).length;
                break;
            default:
                if (dtype.bytes() == 2 && v instanceof short[]) return 2 * ((short[]) v).length;
                if (dtype.bytes() == 2 && v instanceof ShortBuffer)
                    return 2 * ordered(((ShortBuffer) v).order(), dtype, ((ShortBuffer) v).remaining());
                if (dtype.bytes() == 1 && v instanceof byte[]) return ((byte[]) v).length;
        }
        if (!(v instanceof ByteBuffer)) return -1;
        int n = ordered(((ByteBuffer) v).order(), dtype, ((ByteBuffer) v).remaining());
        if (n % dtype.bytes() != 0)
            throw new WhitException("a buffer of " + n + " bytes holds no whole number of " + dtype + " elements");
        return n;
    }

    private static int ordered(ByteOrder order, DType dtype, int n) {
        checkOrder(order, dtype);
        return n;
    }

    static void checkOrder(ByteOrder order, DType dtype) {
        if (dtype.bytes() > 1 && order != ByteOrder.nativeOrder())
            throw new IllegalArgumentException(
                "the buffer of " + dtype + " is " + order + ": call order(ByteOrder.nativeOrder()) on it before it is filled");
    }

    static int offset(Buffer b, DType dtype) {
        return b.position() * (b instanceof ByteBuffer ? 1 : dtype.bytes());
    }

    /** The elements in memory of ours that belongs to this place among the inputs. */
    private ByteBuffer copy(Object v, int bytes) {
        ByteBuffer to = staging.get(n);
        if (to == null || to.capacity() < bytes) {
            to = ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
            staging.put(n, to);
        }
        to.clear();
        if (v instanceof float[]) to.asFloatBuffer().put((float[]) v);
        else if (v instanceof double[]) to.asDoubleBuffer().put((double[]) v);
        else if (v instanceof int[]) to.asIntBuffer().put((int[]) v);
        else if (v instanceof long[]) to.asLongBuffer().put((long[]) v);
        else if (v instanceof short[]) to.asShortBuffer().put((short[]) v);
        else if (v instanceof byte[]) to.put((byte[]) v);
        else if (v instanceof boolean[]) for (boolean b : (boolean[]) v) to.put((byte) (b ? 1 : 0));
        else if (v instanceof FloatBuffer) to.asFloatBuffer().put(((FloatBuffer) v).duplicate());
        else if (v instanceof DoubleBuffer) to.asDoubleBuffer().put(((DoubleBuffer) v).duplicate());
        else if (v instanceof IntBuffer) to.asIntBuffer().put(((IntBuffer) v).duplicate());
        else if (v instanceof LongBuffer) to.asLongBuffer().put(((LongBuffer) v).duplicate());
        else if (v instanceof ShortBuffer) to.asShortBuffer().put(((ShortBuffer) v).duplicate());
        else to.put(((ByteBuffer) v).duplicate());
        to.clear();
        return to;
    }

    private static boolean fits(int[] want, int[] shape) {
        if (want == null) return true;
        if (want.length != shape.length) return false;
        for (int a = 0; a < want.length; a++) if (want[a] >= 0 && want[a] != shape[a]) return false;
        return true;
    }

    /** The port's shape for so many elements, where at most one dimension may change. */
    private static int[] shape(Port port, String name, Object value, int elements) {
        int[] want = port.dimensions();
        int free = -1;
        long known = 1;
        boolean clear = want != null;
        for (int a = 0; clear && a < want.length; a++) {
            if (want[a] >= 0) known *= want[a];
            else if (free < 0) free = a;
            else clear = false;
        }
        if (!clear || (free >= 0 && known == 0))
            throw new WhitException("input '" + name + "': the shape of " + port + " does not follow from " + elements
                + " elements; give a Tensor: Tensor.of(array, shape) or Tensor.wrap(buffer, DType." + port.dtype().name() + ", shape)");
        int[] shape = want.clone();
        if (free >= 0) shape[free] = (int) (elements / known);
        if ((free >= 0 ? known * shape[free] : known) != elements) throw wrong(port, name, value);
        return shape;
    }

    /** Equal names of dimensions are equal numbers. */
    private void checkSymbols(Port port, Map<String, Object[]> symbols) {
        int[] want = port.dimensions();
        for (int a = 0; want != null && a < want.length; a++) {
            if (want[a] >= 0 || port.symbol(a).isEmpty()) continue;
            int size = records[(n - 1) * Native.FEED + 3 + a];
            Object[] known = symbols.get(port.symbol(a));
            if (known == null) symbols.put(port.symbol(a), new Object[] {size, port.name()});
            else if ((Integer) known[0] != size)
                throw new WhitException("input '" + port.name() + "': dimension " + port.symbol(a) + " is " + size + ", but " + known[0]
                    + " in input '" + known[1] + "'; expected " + port);
        }
    }

    private static WhitException wrong(Port port, String name, Object value) {
        return new WhitException("input '" + name + "': expected " + port + ", got " + describe(value));
    }

    static String describe(Object v) {
        if (v == null || v instanceof Tensor) return String.valueOf(v);
        if (v.getClass().isArray()) return v.getClass().getComponentType() + "[" + java.lang.reflect.Array.getLength(v) + "]";
        if (v instanceof Buffer) return v.getClass().getSimpleName() + " of " + ((Buffer) v).remaining() + " elements";
        if (v instanceof Number || v instanceof Boolean) return v.getClass().getSimpleName() + " " + v;
        return "a " + v.getClass().getName();
    }
}
