package dev.whit;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.Charset;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/** Where the values of the source model are found: the debug section of a .whit file (runtime_c/schema/FORMAT.md). */
final class Names {
    static final int NONE = -1;
    private static final Charset UTF_8 = Charset.forName("UTF-8");

    /** A value of the source model. */
    static final class Value {
        final String name;
        final int value;
        final int node;
        final int step;
        final int perm;
        private final String source;

        Value(String name, int value, int node, int step, int perm, String source) {
            this.name = name;
            this.value = value;
            this.node = node;
            this.step = step;
            this.perm = perm;
            this.source = source;
        }

        private Value called(String other) {
            return new Value(other, value, node, step, perm, source);
        }
    }

    final int nNodes;
    final int nConstants;
    final boolean stripped;
    private final int[][] inputs;
    private final int[][] outputs;
    private final String[] nodeNames;
    private final Map<String, Value> values = new LinkedHashMap<>();
    private final List<String> scopes = new ArrayList<>();

    Names(ByteBuffer bytes) {
        ByteBuffer file = bytes.order(ByteOrder.LITTLE_ENDIAN);
        int root = file.getInt(0);
        int words = vector(file, root, 5), nodes = vector(file, root, 6);
        nConstants = count(file, vector(file, root, 8));
        nNodes = count(file, nodes);
        inputs = new int[nNodes][];
        outputs = new int[nNodes][];
        nodeNames = new String[nNodes];
        int debug = field(file, root, 13);
        stripped = debug == 0;
        if (debug != 0) debug += file.getInt(debug);
        int strings = debug == 0 ? 0 : vector(file, debug, 0) + 4;
        int nameOffsets = debug == 0 ? 0 : vector(file, debug, 1);
        for (int n = 0; n < nNodes; n++) {
            int at = nodes + 4 + 16 * n, nIn = file.getShort(at + 2) & 0xffff, nOut = file.getShort(at + 4) & 0xffff;
            int args = words + 4 + 4 * file.getInt(at + 8);
            inputs[n] = ints(file, args, nIn);
            outputs[n] = ints(file, args + 4 * nIn, nOut);
            nodeNames[n] = count(file, nameOffsets) > n ? string(file, strings + file.getInt(nameOffsets + 4 + 4 * n)) : "";
            if (!nodeNames[n].isEmpty() && file.getInt(at + 12) > n + 1) scopes.add(nodeNames[n] + "/");
        }
        Collections.sort(scopes, Collections.reverseOrder(new java.util.Comparator<String>() {
            @Override
            public int compare(String a, String b) {
                return a.length() - b.length();
            }
        }));
        int names = debug == 0 ? 0 : vector(file, debug, 2);
        for (int k = 0; k < count(file, names); k++) {
            int at = names + 4 + 24 * k, source = file.getInt(at + 20);
            String name = string(file, strings + file.getInt(at));
            String from = source == NONE ? "" : string(file, strings + source);
            if (!values.containsKey(name))
                values.put(name, new Value(name, file.getInt(at + 4), file.getInt(at + 8), file.getInt(at + 12), file.getInt(at + 16), from));
        }
    }

    private static int field(ByteBuffer file, int table, int k) {
        int vtable = table - file.getInt(table);
        if (k >= (file.getShort(vtable) - 4) / 2) return 0;
        int offset = file.getShort(vtable + 4 + 2 * k) & 0xffff;
        return offset == 0 ? 0 : table + offset;
    }

    /** Where a vector's count stands, or 0. */
    private static int vector(ByteBuffer file, int table, int k) {
        int at = field(file, table, k);
        return at == 0 ? 0 : at + file.getInt(at);
    }

    private static int count(ByteBuffer file, int vector) {
        return vector == 0 ? 0 : file.getInt(vector);
    }

    private static int[] ints(ByteBuffer file, int at, int n) {
        int[] found = new int[n];
        for (int k = 0; k < n; k++) found[k] = file.getInt(at + 4 * k);
        return found;
    }

    private static String string(ByteBuffer file, int at) {
        int end = at;
        while (file.get(end) != 0) end++;
        byte[] raw = new byte[end - at];
        for (int k = 0; k < raw.length; k++) raw[k] = file.get(at + k);
        return new String(raw, UTF_8);
    }

    int nInputs(int node) {
        return inputs[node].length;
    }

    /** {node, 1 if after it, number among its outputs or inputs}: where a value can be read; null if nowhere. */
    int[] place(Value v) {
        for (int n = v.node == NONE ? 0 : v.node; n < (v.node == NONE ? nNodes : v.node + 1); n++)
            for (int k = 0; k < outputs[n].length; k++) if (outputs[n][k] == v.value) return new int[] {n, 1, k};
        for (int n = 0; n < nNodes; n++)
            for (int k = 0; k < inputs[n].length; k++) if (inputs[n][k] == v.value) return new int[] {n, 0, k};
        return null;
    }

    /**
     * Values called so, or made by source nodes called so; a glob finds those that fit it. In a region, names start with that of the
     * control node; they are found without it too.
     */
    List<Value> match(String text) {
        List<Value> found = new ArrayList<>();
        if (values.containsKey(text)) {
            found.add(values.get(text));
            return found;
        }
        for (Value v : values.values()) if (shortName(v.name).equals(text)) found.add(v);
        if (found.size() == 1) {
            found.set(0, found.get(0).called(text));
            return found;
        }
        Map<String, List<Value>> made = new LinkedHashMap<>();
        Map<String, Integer> last = new HashMap<>();
        for (int n = 0; n < nNodes; n++) {
            made.put(nodeNames[n], new ArrayList<Value>());
            last.put(nodeNames[n], n);
        }
        for (Value v : values.values()) if (!v.source.isEmpty()) made.put(v.source, new ArrayList<Value>());
        for (Value v : values.values())
            if (v.node >= 0 && v.node < nNodes) made.get(v.source.isEmpty() ? nodeNames[v.node] : v.source).add(v);
        Set<String> wanted = new LinkedHashSet<>();
        for (String name : made.keySet()) if (name.equals(text) || shortName(name).equals(text)) wanted.add(name);
        if (wanted.isEmpty() && found.isEmpty() && text.matches("(?s).*[*?\\[].*")) {
            Pattern glob = glob(text);
            for (String name : made.keySet()) if (fits(glob, name)) wanted.add(name);
            for (Value v : values.values()) if (fits(glob, v.name)) found.add(v);
        }
        for (String name : wanted) {
            if (name.isEmpty()) continue;
            if (!made.get(name).isEmpty()) found.addAll(made.get(name));
            else if (last.containsKey(name)) unnamed(name, last.get(name), found);
        }
        Map<String, Value> unique = new LinkedHashMap<>();
        for (Value v : found) unique.put(v.name, v);
        return new ArrayList<>(unique.values());
    }

    /** Names for the outputs of a node that the source model did not name. */
    private void unnamed(String name, int node, List<Value> found) {
        int n = outputs[node].length;
        for (int k = 0; k < n; k++)
            if (outputs[node][k] != NONE) found.add(new Value(n == 1 ? name : name + ":" + k, outputs[node][k], node, 0, NONE, ""));
    }

    private boolean fits(Pattern glob, String name) {
        return glob.matcher(name).matches() || glob.matcher(shortName(name)).matches();
    }

    private String shortName(String name) {
        for (String scope : scopes) if (name.startsWith(scope)) return name.substring(scope.length());
        return name;
    }

    private static Pattern glob(String text) {
        StringBuilder s = new StringBuilder();
        for (int k = 0; k < text.length(); k++) {
            char c = text.charAt(k);
            int end = c == '[' ? text.indexOf(']', k + 2) : -1;
            if (c == '*') s.append(".*");
            else if (c == '?') s.append('.');
            else if (end > 0) {
                String inside = text.substring(k + 1, end).replace("\\", "\\\\").replace("[", "\\[").replace("&&", "&\\&");
                s.append('[').append(inside.startsWith("!") ? "^" + inside.substring(1) : inside.startsWith("^") ? "\\" + inside : inside).append(']');
                k = end;
            } else s.append(Pattern.quote(String.valueOf(c)));
        }
        return Pattern.compile(s.toString(), Pattern.DOTALL);
    }

    /** Up to three names that are like the text. */
    String close(String text) {
        List<String> all = new ArrayList<>(values.keySet());
        Collections.addAll(all, nodeNames);
        String best = "";
        int n = 0;
        for (String name : all) {
            String low = name.toLowerCase(java.util.Locale.ROOT), want = text.toLowerCase(java.util.Locale.ROOT);
            if (name.isEmpty() || n == 3 || !(low.contains(want) || want.contains(low) || low.endsWith(want.substring(want.lastIndexOf('/') + 1)))) continue;
            best += (n++ > 0 ? ", " : "; close: ") + name;
        }
        return best;
    }
}
