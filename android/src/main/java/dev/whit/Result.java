package dev.whit;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The outputs of a run. */
public final class Result {
    private final Signature signature;
    private final Object[] values;
    private final long steps;

    Result(Signature signature, Object[] values, long steps) {
        this.signature = signature;
        this.values = values;
        this.steps = steps;
    }

    /** An output by name. Null for an optional one without content. */
    public Tensor get(String name) {
        return tensor(index(name));
    }

    /** An output by position. Null for an optional one without content. */
    public Tensor get(int k) {
        if (k < 0 || k >= values.length) throw new IllegalArgumentException("output " + k + ": there are " + values.length);
        return tensor(k);
    }

    /** An output that is a list of tensors. */
    @SuppressWarnings("unchecked")
    public List<Tensor> sequence(String name) {
        Object value = values[index(name)];
        if (value == null || value instanceof List) return (List<Tensor>) value;
        throw new IllegalArgumentException("output '" + name + "' is a tensor, not a sequence: get(\"" + name + "\")");
    }

    /** All outputs by name: a {@link Tensor}, a list of them, or null for an optional without content. */
    public Map<String, Object> asMap() {
        Map<String, Object> found = new LinkedHashMap<>();
        for (int k = 0; k < values.length; k++) found.put(signature.outputs().get(k).name(), values[k]);
        return Collections.unmodifiableMap(found);
    }

    /** Nodes that were executed. A node in a branch not taken does not count. */
    public long steps() {
        return steps;
    }

    private int index(String name) {
        int k = signature.output(name);
        if (k >= 0) return k;
        List<Port> outputs = new ArrayList<>(signature.outputs());
        throw new IllegalArgumentException("no output is called '" + name + "'; there are " + Signature.names(outputs));
    }

    private Tensor tensor(int k) {
        if (values[k] instanceof List)
            throw new IllegalArgumentException("output " + k + " is a sequence: sequence(\"" + signature.outputs().get(k).name() + "\")");
        return (Tensor) values[k];
    }
}
