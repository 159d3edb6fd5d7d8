package dev.whit;

/** Element types. A type below a byte takes one byte an element. */
public enum DType {
    FLOAT32(1, 4), UINT8(2, 1), INT8(3, 1), UINT16(4, 2), INT16(5, 2), INT32(6, 4), INT64(7, 8), BOOL(9, 1), FLOAT16(10, 2),
    FLOAT64(11, 8), UINT32(12, 4), UINT64(13, 8), BFLOAT16(16, 2), FLOAT8_E4M3FN(17, 1), FLOAT8_E4M3FNUZ(18, 1),
    FLOAT8_E5M2(19, 1), FLOAT8_E5M2FNUZ(20, 1), UINT4(21, 1), INT4(22, 1), FLOAT4_E2M1FN(23, 1), FLOAT8_E8M0FNU(24, 1),
    UINT2(25, 1), INT2(26, 1);

    final int code;
    private final int bytes;

    DType(int code, int bytes) {
        this.code = code;
        this.bytes = bytes;
    }

    /** Bytes of an element in memory. */
    public int bytes() {
        return bytes;
    }

    /** The name that Python and the command line use, as float32. */
    @Override
    public String toString() {
        return name().toLowerCase(java.util.Locale.ROOT);
    }

    static DType of(int code) {
        for (DType t : values()) if (t.code == code) return t;
        throw new IllegalArgumentException("no element type has the number " + code);
    }
}
