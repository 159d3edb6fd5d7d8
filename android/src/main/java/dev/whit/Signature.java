package dev.whit;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** An entry point of a model: its name, what it takes and what it gives. */
public final class Signature {
    final int index;
    private final String name;
    private final List<Port> inputs;
    private final List<Port> outputs;

    Signature(long model, int index, String name) {
        this.index = index;
        this.name = name;
        inputs = ports(model, index, 0);
        outputs = ports(model, index, 1);
    }

    private static List<Port> ports(long model, int entry, int outputs) {
        List<Port> found = new ArrayList<>();
        int[] record = new int[Native.RECORD + 1];
        while (Native.modelPort(model, entry, outputs, found.size(), record))
            found.add(new Port(model, entry, outputs, found.size(), record));
        return Collections.unmodifiableList(found);
    }

    public String name() {
        return name;
    }

    public List<Port> inputs() {
        return inputs;
    }

    public List<Port> outputs() {
        return outputs;
    }

    /** Position of the output of a name, or -1. */
    int output(String wanted) {
        return find(outputs, wanted);
    }

    static int find(List<Port> ports, String wanted) {
        for (int k = 0; k < ports.size(); k++) if (ports.get(k).name().equals(wanted)) return k;
        return -1;
    }

    static String names(List<Port> ports) {
        StringBuilder s = new StringBuilder();
        for (Port p : ports) s.append(s.length() > 0 ? ", " : "").append(p.name());
        return s.length() > 0 ? s.toString() : "none";
    }

    @Override
    public String toString() {
        return name + " " + inputs + " -> " + outputs;
    }
}
