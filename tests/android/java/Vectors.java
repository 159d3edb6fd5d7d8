import dev.whit.*;
import java.io.*;
import java.nio.*;
import java.nio.file.*;
import java.util.*;

/** tests/vectors as Java values. vectors.txt is vectors.json, one tensor a line, written by the Python side. */
final class Vectors {
    static final Path FOLDER = Paths.get(System.getProperty("vectors"));

    static final class Run {
        String entry;
        final Map<String, Object> inputs = new LinkedHashMap<>();
        final Map<String, Object> outputs = new LinkedHashMap<>();
        long steps;
        int status;
        String node = "", operator = "";
    }

    static final class Case {
        String name, model;
        final List<Run> runs = new ArrayList<>();

        Model open() throws IOException {
            return Model.open(FOLDER.resolve(model).toFile());
        }
    }

    private static ByteBuffer data;

    static synchronized List<Case> all() throws IOException {
        data = ByteBuffer.wrap(Files.readAllBytes(FOLDER.resolve("vectors.bin")));
        List<Case> found = new ArrayList<>();
        Run run = null;
        for (String line : Files.readAllLines(Paths.get(System.getProperty("cases")))) {
            String[] w = line.split("\t", -1);
            switch (w[0]) {
                case "case":
                    Case c = new Case();
                    c.name = w[1];
                    c.model = w[2];
                    found.add(c);
                    break;
                case "run":
                    run = new Run();
                    run.entry = w[1];
                    run.steps = Long.parseLong(w[2]);
                    found.get(found.size() - 1).runs.add(run);
                    break;
                case "tap":
                    break;
                case "fails":
                    run.status = Integer.parseInt(w[1]);
                    run.node = w[2];
                    run.operator = w[3];
                    break;
                default: // in or out: name, then absent, list, or a tensor
                    Map<String, Object> to = w[0].equals("in") ? run.inputs : run.outputs;
                    if (w[2].equals("absent")) to.put(w[1], null);
                    else if (w[2].equals("list")) to.put(w[1], new ArrayList<Tensor>());
                    else if (to.get(w[1]) instanceof List) list(to.get(w[1])).add(tensor(w));
                    else to.put(w[1], tensor(w));
            }
        }
        return found;
    }

    @SuppressWarnings("unchecked")
    static List<Tensor> list(Object value) {
        return (List<Tensor>) value;
    }

    private static Tensor tensor(String[] w) {
        String[] dims = w[3].isEmpty() ? new String[0] : w[3].split(",");
        int[] shape = new int[dims.length];
        for (int k = 0; k < shape.length; k++) shape[k] = Integer.parseInt(dims[k]);
        Tensor t = Tensor.zeros(DType.valueOf(w[2].toUpperCase(Locale.ROOT)), shape);
        ByteBuffer from = data.duplicate();
        from.position(Integer.parseInt(w[4]));
        from.limit(from.position() + Integer.parseInt(w[5]));
        t.buffer().put(from);
        return t;
    }

    static Case named(String name) throws IOException {
        for (Case c : all()) if (c.name.equals(name)) return c;
        throw new IllegalArgumentException(name);
    }

    /** What Python's taps show of a case: shape and bytes by name. */
    static Map<String, String> taps(String name) throws IOException {
        byte[] all = Files.readAllBytes(Paths.get(System.getProperty("cases")).resolveSibling("taps.bin"));
        Map<String, String> found = new TreeMap<>();
        for (String line : Files.readAllLines(Paths.get(System.getProperty("cases")))) {
            String[] w = line.split("\t", -1);
            if (!w[0].equals("tap") || !w[1].equals(name)) continue;
            int at = Integer.parseInt(w[4]);
            found.put(w[2], "[" + w[3].replace(",", ", ") + "] " + Arrays.toString(Arrays.copyOfRange(all, at, at + Integer.parseInt(w[5]))));
        }
        return found;
    }

    static Object input(String name, String input) throws IOException {
        return named(name).runs.get(0).inputs.get(input);
    }

    static void same(String what, Object want, Object got) {
        if (want instanceof List) {
            org.junit.Assert.assertEquals(what, list(want).size(), list(got).size());
            for (int k = 0; k < list(want).size(); k++) same(what + "[" + k + "]", list(want).get(k), list(got).get(k));
            return;
        }
        org.junit.Assert.assertEquals(what, String.valueOf(want), String.valueOf(got)); // dtype and shape
        if (want != null) org.junit.Assert.assertArrayEquals(what, ((Tensor) want).bytes(), ((Tensor) got).bytes());
    }
}
