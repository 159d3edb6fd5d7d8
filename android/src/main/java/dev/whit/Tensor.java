package dev.whit;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * A dense array in memory outside Java's heap, which a run reads or writes in place. One that a run gave belongs to the caller; later
 * runs do not touch it.
 */
public final class Tensor {
    private final DType dtype;
    private final int[] shape;
    /** Direct, from 0 to the number of bytes. */
    final ByteBuffer memory;

    private Tensor(DType dtype, int[] shape, ByteBuffer memory) {
        this.dtype = dtype;
        this.shape = shape;
        this.memory = memory;
    }

    /** A new tensor of zeros. */
    public static Tensor zeros(DType dtype, int... shape) {
        return new Tensor(dtype, shape.clone(), ByteBuffer.allocateDirect(bytes(dtype, shape)).order(ByteOrder.nativeOrder()));
    }

    /** The bytes from the buffer's position to its limit, in place. It must be direct and in the machine's byte order. */
    public static Tensor wrap(ByteBuffer memory, DType dtype, int... shape) {
        if (!memory.isDirect()) throw new IllegalArgumentException("not a direct buffer: ByteBuffer.allocateDirect makes one");
        Feed.checkOrder(memory.order(), dtype);
        if (memory.remaining() != bytes(dtype, shape))
            throw new IllegalArgumentException(
                dtype + " " + Arrays.toString(shape) + " has " + bytes(dtype, shape) + " bytes, the buffer " + memory.remaining());
        return new Tensor(dtype, shape.clone(), memory.slice().order(ByteOrder.nativeOrder()));
    }

    public static Tensor of(float[] data, int... shape) {
        Tensor t = sized(DType.FLOAT32, data.length, shape);
        t.memory.asFloatBuffer().put(data);
        return t;
    }

    public static Tensor of(double[] data, int... shape) {
        Tensor t = sized(DType.FLOAT64, data.length, shape);
        t.memory.asDoubleBuffer().put(data);
        return t;
    }

    public static Tensor of(int[] data, int... shape) {
        Tensor t = sized(DType.INT32, data.length, shape);
        t.memory.asIntBuffer().put(data);
        return t;
    }

    public static Tensor of(long[] data, int... shape) {
        Tensor t = sized(DType.INT64, data.length, shape);
        t.memory.asLongBuffer().put(data);
        return t;
    }

    public static Tensor of(short[] data, int... shape) {
        Tensor t = sized(DType.INT16, data.length, shape);
        t.memory.asShortBuffer().put(data);
        return t;
    }

    public static Tensor of(byte[] data, int... shape) {
        Tensor t = sized(DType.INT8, data.length, shape);
        t.buffer().put(data);
        return t;
    }

    public static Tensor of(boolean[] data, int... shape) {
        Tensor t = sized(DType.BOOL, data.length, shape);
        for (int k = 0; k < data.length; k++) t.memory.put(k, (byte) (data[k] ? 1 : 0));
        return t;
    }

    /** A tensor of one axis if no shape is given. */
    private static Tensor sized(DType dtype, int n, int[] shape) {
        int[] whole = shape.length == 0 && n != 1 ? new int[] {n} : shape;
        if (bytes(dtype, whole) != (long) n * dtype.bytes())
            throw new IllegalArgumentException("shape " + Arrays.toString(whole) + " does not have the array's " + n + " elements");
        return zeros(dtype, whole);
    }

    static int bytes(DType dtype, int[] shape) {
        if (shape.length > 8) throw new IllegalArgumentException(shape.length + " axes; a tensor has 8 at most");
        long n = dtype.bytes();
        for (int d : shape) {
            if (d < 0) throw new IllegalArgumentException("shape " + Arrays.toString(shape) + " has a negative dimension");
            n *= d;
            if (n > Integer.MAX_VALUE)
                throw new IllegalArgumentException("shape " + Arrays.toString(shape) + " is more than a buffer of 2 GB can hold");
        }
        return (int) n;
    }

    public DType dtype() {
        return dtype;
    }

    public int[] shape() {
        return shape.clone();
    }

    int[] dimensions() {
        return shape;
    }

    /** Number of elements. */
    public int size() {
        return memory.capacity() / dtype.bytes();
    }

    /** The memory itself, writable, in the machine's byte order. */
    public ByteBuffer buffer() {
        ByteBuffer b = memory.duplicate().order(ByteOrder.nativeOrder());
        b.clear();
        return b;
    }

    /** A copy of float32 elements; float16 and bfloat16 are converted. */
    public float[] floats() {
        float[] to = new float[size()];
        if (dtype == DType.FLOAT16) for (int k = 0; k < to.length; k++) to[k] = half(memory.getShort(2 * k));
        else if (dtype == DType.BFLOAT16) for (int k = 0; k < to.length; k++) to[k] = Float.intBitsToFloat(memory.getShort(2 * k) << 16);
        else view(DType.FLOAT32, "floats").asFloatBuffer().get(to);
        return to;
    }

    public double[] doubles() {
        double[] to = new double[size()];
        view(DType.FLOAT64, "doubles").asDoubleBuffer().get(to);
        return to;
    }

    /** A copy of int32 or uint32 elements. */
    public int[] ints() {
        int[] to = new int[size()];
        view(dtype == DType.UINT32 ? DType.UINT32 : DType.INT32, "ints").asIntBuffer().get(to);
        return to;
    }

    /** A copy of int64 or uint64 elements. */
    public long[] longs() {
        long[] to = new long[size()];
        view(dtype == DType.UINT64 ? DType.UINT64 : DType.INT64, "longs").asLongBuffer().get(to);
        return to;
    }

    /** A copy of elements of two bytes, whatever they mean. */
    public short[] shorts() {
        short[] to = new short[size()];
        view(dtype.bytes() == 2 ? dtype : DType.INT16, "shorts").asShortBuffer().get(to);
        return to;
    }

    /** A copy of the bytes, whatever they mean. */
    public byte[] bytes() {
        byte[] to = new byte[memory.capacity()];
        buffer().get(to);
        return to;
    }

    public boolean[] booleans() {
        boolean[] to = new boolean[size()];
        ByteBuffer from = view(DType.BOOL, "booleans");
        for (int k = 0; k < to.length; k++) to[k] = from.get(k) != 0;
        return to;
    }

    /** The only element of a tensor of one, as a number; true is 1. */
    public double item() {
        if (size() != 1) throw new IllegalStateException(this + " has " + size() + " elements, not one");
        switch (dtype) {
            case FLOAT32: case FLOAT16: case BFLOAT16: return floats()[0];
            case FLOAT64: return doubles()[0];
            case INT32: return memory.getInt(0);
            case UINT32: return memory.getInt(0) & 0xffffffffL;
            case INT64: case UINT64: return memory.getLong(0);
            case INT16: return memory.getShort(0);
            case UINT16: return memory.getShort(0) & 0xffff;
            case UINT8: case BOOL: return memory.get(0) & 0xff;
            case INT8: return memory.get(0);
            default: throw new IllegalStateException(dtype + " has no number in Java: bytes() gives its bits");
        }
    }

    private ByteBuffer view(DType wanted, String method) {
        if (dtype != wanted) throw new IllegalStateException(this + ": " + method + "() gives " + wanted);
        return buffer();
    }

    private static float half(short bits) {
        int sign = (bits & 0x8000) << 16, e = bits >> 10 & 31, m = bits & 0x3ff;
        if (e == 0) return Math.copySign(m * 0x1p-24f, Float.intBitsToFloat(sign | 0x3f800000));
        return Float.intBitsToFloat(sign | (e == 31 ? 0xff : e + 112) << 23 | m << 13);
    }

    @Override
    public String toString() {
        return dtype + " " + Arrays.toString(shape);
    }
}
