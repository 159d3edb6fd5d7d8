package dev.whit;

/** An input or output of a model. */
public final class Port {
    private final String name;
    private final DType dtype;
    private final int[] shape;
    private final String[] symbols;
    private final boolean sequence;
    private final boolean optional;

    Port(long model, int entry, int outputs, int k, int[] record) {
        name = Native.text(Native.modelText(model, Native.TEXT_PORT, entry, outputs, k, 0));
        sequence = record[0] == Native.SEQUENCE;
        dtype = DType.of(record[1]);
        optional = record[Native.RECORD] != 0;
        int rank = record[2];
        shape = rank == Native.UNKNOWN_RANK ? null : new int[rank];
        symbols = new String[shape == null ? 0 : rank];
        for (int a = 0; a < symbols.length; a++) {
            shape[a] = record[3 + a];
            symbols[a] = shape[a] < 0 ? Native.text(Native.modelText(model, Native.TEXT_SYMBOL, entry, outputs, k, a)) : "";
        }
    }

    public String name() {
        return name;
    }

    public DType dtype() {
        return dtype;
    }

    /** The dimensions, -1 for one that may change; null if not even their number is known. Of a sequence: of its elements. */
    public int[] shape() {
        return shape == null ? null : shape.clone();
    }

    /** Name of dimension a if it may change and has one, else empty. */
    public String symbol(int a) {
        return symbols[a];
    }

    /** Whether it is a list of tensors. */
    public boolean isSequence() {
        return sequence;
    }

    /** Whether a run may leave it out. */
    public boolean isOptional() {
        return optional;
    }

    int[] dimensions() {
        return shape;
    }

    @Override
    public String toString() {
        StringBuilder s = new StringBuilder(optional ? "optional " : "").append(sequence ? "sequence of " : "").append(dtype).append(" [");
        if (shape == null) s.append("...");
        for (int a = 0; a < symbols.length; a++) {
            if (a > 0) s.append(", ");
            if (shape[a] >= 0) s.append(shape[a]);
            else s.append(symbols[a].isEmpty() ? "?" : symbols[a]);
        }
        return s.append(']').toString();
    }
}
