import static org.junit.Assert.*;

import dev.whit.*;
import java.util.*;
import org.junit.Test;

/** Every shared vector: the bits of the Python binding, in every way of giving inputs and threads. */
public class BitsTest {
    private static void check(Vectors.Case c, SessionOptions options) throws Exception {
        try (Model model = c.open(); Session session = model.session(options)) {
            for (Vectors.Run run : c.runs) {
                RunOptions o = run.entry.isEmpty() ? new RunOptions() : new RunOptions().entry(run.entry);
                if (run.status != 0) {
                    try {
                        session.run(run.inputs, o);
                        fail(c.name + " should fail");
                    } catch (WhitException e) {
                        assertEquals(run.status, e.status());
                        assertEquals(run.node, e.node());
                        assertEquals(run.operator, e.operator());
                        assertTrue(e.getMessage(), e.getMessage().contains("node '" + run.node + "' (" + run.operator + "): ") && !e.causeText().isEmpty());
                    }
                    continue;
                }
                Result result = session.run(run.inputs, o);
                assertEquals(c.name, run.steps, result.steps());
                assertEquals(run.outputs.keySet(), result.asMap().keySet());
                for (Map.Entry<String, Object> e : run.outputs.entrySet())
                    Vectors.same(c.name + " " + e.getKey(), e.getValue(), result.asMap().get(e.getKey()));
            }
        }
    }

    @Test
    public void everyVector() throws Exception {
        List<Vectors.Case> all = Vectors.all();
        assertEquals(11, all.size());
        for (Vectors.Case c : all) check(c, new SessionOptions());
    }

    @Test
    public void everyVectorWithThreads() throws Exception {
        for (int n : new int[] {2, 3}) for (Vectors.Case c : Vectors.all()) check(c, new SessionOptions().threads(n));
    }

    /** The last value of everything that has a name, as the source model lays it out. */
    @Test
    public void taps() throws Exception {
        for (String name : new String[] {"late", "dates"}) {
            Map<String, String> seen = new TreeMap<>(), want = Vectors.taps(name);
            Vectors.Case c = Vectors.named(name);
            try (Model model = c.open(); Session session = model.session(); Tap tap = session.tap("*", (value, iterations, t) ->
                    seen.put(value, Arrays.toString(((Tensor) t).shape()) + " " + Arrays.toString(((Tensor) t).bytes())))) {
                session.run(c.runs.get(0).inputs);
            }
            assertTrue(name, want.size() > 5);
            want.keySet().removeAll(c.runs.get(0).inputs.keySet());
            for (Map.Entry<String, String> e : want.entrySet()) assertEquals(name + " " + e.getKey(), e.getValue(), seen.get(e.getKey()));
        }
    }
}
