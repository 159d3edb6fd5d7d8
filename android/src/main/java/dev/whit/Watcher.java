package dev.whit;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The taps of a run: which nodes are watched, and what is read there. */
final class Watcher {
    private static final Pattern CHOICE = Pattern.compile("(.+)@((?:\\d+|\\*)(?:\\.(?:\\d+|\\*))*)", Pattern.DOTALL);
    private static final int DEPTH = 16;

    /** One value to be read at one moment of one node. */
    private static final class Probe {
        Names.Value value;
        int node;
        boolean after;
        int index;
        long[] choice; // per loop, the innermost last; -1: every iteration
        TapListener listener;
    }

    private final Names names;
    private final List<Probe> probes = new ArrayList<>();
    private final long[] path = new long[DEPTH];
    private final int[] record = new int[Native.RECORD];
    private long instance;

    Watcher(Names names, List<Tap> taps) {
        this.names = names;
        for (Tap t : taps) add(t.pattern, t.listener);
    }

    /** Only to find out whether the pattern means something. */
    Watcher(Names names, String pattern) {
        this(names, Collections.<Tap>emptyList());
        add(pattern, null);
    }

    private void add(String pattern, TapListener listener) {
        if (names.stripped) throw new WhitException("tap: the model has no debug names (it was converted with strip)");
        long[] choice = new long[0];
        String text = pattern;
        List<Names.Value> found = names.match(pattern);
        Matcher parts = CHOICE.matcher(pattern);
        if (found.isEmpty() && parts.matches()) {
            text = parts.group(1);
            String[] words = parts.group(2).split("\\.");
            choice = new long[words.length];
            for (int k = 0; k < words.length; k++) choice[k] = words[k].equals("*") ? -1 : Long.parseLong(words[k]);
            found = names.match(text);
        }
        int n = probes.size();
        boolean fused = false;
        for (Names.Value v : found) {
            int[] place = v.step > 0 || v.value < names.nConstants ? null : names.place(v);
            fused |= v.step > 0;
            if (place == null) continue;
            Probe p = new Probe();
            p.value = v;
            p.node = place[0];
            p.after = place[1] != 0;
            p.index = place[2];
            p.choice = choice;
            p.listener = listener;
            probes.add(p);
        }
        if (probes.size() > n) return;
        if (fused) throw new WhitException("tap: '" + text + "' lies inside a fused node; whit convert --no-fuse keeps it apart");
        throw new WhitException("tap: no value or node that runs is called '" + text + "'" + names.close(text));
    }

    byte[] nodes() {
        byte[] watch = new byte[names.nNodes];
        for (Probe p : probes) watch[p.node] |= p.after ? Native.WATCH_AFTER : Native.WATCH_BEFORE;
        return watch;
    }

    void begin(long ofInstance) {
        instance = ofInstance;
    }

    void onNode(int node, boolean after) {
        for (Probe p : probes) {
            if (p.node != node || p.after != after) continue;
            int depth = Math.min(Native.loopPath(instance, path), DEPTH);
            if (isWanted(p.choice, depth)) p.listener.onValue(p.value.name, Arrays.copyOf(path, depth), read(p));
        }
    }

    private boolean isWanted(long[] choice, int depth) {
        if (depth < choice.length) return false;
        for (int k = 0; k < choice.length; k++) {
            long c = choice[choice.length - 1 - k];
            if (c >= 0 && c != path[depth - 1 - k]) return false;
        }
        return true;
    }

    private Object read(Probe p) {
        if (!Native.nodeRead(instance, p.node, p.after, p.index, -1, record, null)) return null;
        if (record[0] == Native.TENSOR) return undo(tensor(p, -1), p.value.perm);
        if (record[0] != Native.SEQUENCE) return null;
        int n = record[3];
        List<Tensor> items = new ArrayList<>(n);
        for (int k = 0; k < n; k++) {
            boolean there = Native.nodeRead(instance, p.node, p.after, p.index, k, record, null) && record[0] == Native.TENSOR;
            items.add(there ? tensor(p, k) : null);
        }
        return items;
    }

    private Tensor tensor(Probe p, int item) {
        Tensor t = Tensor.zeros(DType.of(record[1]), Outputs.shape(record));
        Native.nodeRead(instance, p.node, p.after, p.index, item, record, t.memory);
        return t;
    }

    /** The axes as the source model has them: the stored value is the source's, transposed by perm (an axis in four bits). */
    static Tensor undo(Tensor t, int perm) {
        int rank = t.dimensions().length, size = t.dtype().bytes();
        if (perm == Names.NONE || rank < 2) return t;
        int[] from = t.dimensions(), shape = new int[rank], stride = new int[rank];
        int step = size;
        for (int a = rank - 1; a >= 0; a--) {
            int axis = perm >>> 4 * a & 15;
            shape[axis] = from[a];
            stride[axis] = step;
            step *= from[a];
        }
        Tensor made = Tensor.zeros(t.dtype(), shape);
        ByteBuffer to = made.buffer();
        int[] at = new int[rank];
        for (int n = 0, offset = 0; n < made.size(); n++) {
            for (int b = 0; b < size; b++) to.put(t.memory.get(offset + b));
            for (int a = rank - 1; a >= 0; a--) {
                offset += stride[a];
                if (++at[a] < shape[a]) break;
                offset -= stride[a] * shape[a];
                at[a] = 0;
            }
        }
        return made;
    }
}
