import static org.junit.Assert.*;

import android.content.res.AssetManager;
import dev.whit.*;
import java.io.*;
import java.nio.*;
import java.nio.channels.FileChannel;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.CountDownLatch;
import org.junit.Test;

/** What the API offers, each thing once. */
public class ApiTest {
    static final Map<String, Object> SPIN = new HashMap<>();

    static {
        SPIN.put("trips", Long.MAX_VALUE);
        SPIN.put("start", new float[] {1, 2});
    }

    static Model open(String name) throws IOException {
        return Model.open(Vectors.FOLDER.resolve(name + ".whit").toFile());
    }

    static ByteBuffer direct(int bytes) {
        return ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
    }

    private static void triples(Model model) {
        try (Model m = model; Session s = m.session()) {
            assertEquals(42f, s.run(new float[] {14}).get("y").floats()[0], 1e-4f);
        }
    }

    @Test
    public void waysToOpen() throws Exception {
        File file = Vectors.FOLDER.resolve("triple.whit").toFile();
        byte[] bytes = Files.readAllBytes(file.toPath());
        try (Model m = Model.open(file)) {
            assertTrue(m.isMapped());
        }
        triples(Model.open(file));
        triples(Model.open(ByteBuffer.wrap(bytes)));
        ByteBuffer misplaced = direct(bytes.length + 3);
        misplaced.position(3);
        misplaced.put(bytes);
        misplaced.position(3);
        triples(Model.open(misplaced));
        triples(Model.open(misplaced.asReadOnlyBuffer())); // in place is not possible there
        try (RandomAccessFile in = new RandomAccessFile(file, "r")) {
            Model m = Model.open(in.getFD(), 0, file.length());
            assertTrue(m.isMapped());
            triples(m);
            assertEquals("the descriptor is still the caller's", bytes[0], (byte) in.read());
        }
    }

    @Test
    public void assets() throws Exception {
        Path folder = Files.createTempDirectory("assets");
        byte[] bytes = Files.readAllBytes(Vectors.FOLDER.resolve("triple.whit"));
        for (int offset : new int[] {0, 16, 5000, 4096 * 3, 4}) {
            byte[] archive = new byte[offset + bytes.length];
            System.arraycopy(bytes, 0, archive, offset, bytes.length);
            Files.write(folder.resolve("m.whit"), archive);
            Files.write(folder.resolve("m.z"), archive);
            Model m = Model.open(new AssetManager(folder.toFile(), offset), "m.whit");
            assertEquals(offset % 16 == 0, m.isMapped());
            triples(m);
            Model compressed = Model.open(new AssetManager(folder.toFile(), offset), "m.z");
            assertFalse(compressed.isMapped());
            triples(compressed);
        }
        try {
            Model.open(new AssetManager(folder.toFile(), 0), "none.whit");
            fail();
        } catch (FileNotFoundException expected) {
            assertTrue(expected.getMessage().contains("none.whit"));
        }
    }

    @Test
    public void signatures() throws Exception {
        try (Model m = open("digits")) {
            Port image = m.signature().inputs().get(0);
            assertEquals("image", image.name());
            assertEquals(DType.FLOAT32, image.dtype());
            assertArrayEquals(new int[] {1, 1, 8, 8}, image.shape());
            assertEquals("float32 [1, 1, 8, 8]", image.toString());
            assertEquals(3, m.signature().outputs().size());
        }
        try (Model m = open("maybe")) {
            Port bias = m.signature().inputs().get(1);
            assertTrue(bias.isOptional());
            assertEquals("optional float32 [n]", bias.toString());
            assertEquals("n", bias.symbol(0));
        }
        try (Model m = open("lists")) {
            assertTrue(m.signature().inputs().get(0).isSequence());
        }
        try (Model m = open("counter")) {
            assertEquals(Arrays.asList("add", "read"), new ArrayList<>(m.signatures().keySet()));
            assertEquals("factor", m.signature("read").inputs().get(0).name());
        }
    }

    @Test
    public void waysToGiveInputs() throws Exception {
        float[] x = {14, 0.1f};
        try (Model m = open("triple"); Session s = m.session()) {
            byte[] want = s.run(new float[] {14, 0.1f}).get(0).bytes();
            FloatBuffer floats = direct(12).asFloatBuffer();
            floats.put(0).put(x).position(1);
            ByteBuffer bytes = direct(12);
            bytes.position(4);
            bytes.asFloatBuffer().put(x);
            Object[] all = {Tensor.of(x, 2, 1), FloatBuffer.wrap(x), floats, bytes, Tensor.wrap(bytes, DType.FLOAT32, 2, 1),
                floats.asReadOnlyBuffer(), ByteBuffer.allocate(8).order(ByteOrder.nativeOrder()).putFloat(0, 14).putFloat(4, 0.1f)};
            for (Object input : all) {
                assertArrayEquals(Feedable.name(input), want, s.run(input).get("y").bytes());
                assertArrayEquals(want, s.run(Collections.singletonMap("x", input)).get("y").bytes());
            }
            assertEquals("positions stay", 4, bytes.position());
            Tensor y = s.run(x).get("y");
            float[] before = y.floats();
            s.run(new float[] {1, 1});
            assertArrayEquals("a result is the caller's", before, y.floats(), 0);
            assertArrayEquals("and goes in again", s.run(before).get(0).floats(), s.run(y).get(0).floats(), 0);
        }
        try (Model m = open("spin"); Session s = m.session()) {
            Tensor total = s.run(7, new float[] {1, 2}).get("total");
            assertArrayEquals(s.run(Tensor.of(new long[] {7}), Tensor.of(new float[] {1, 2}, 2)).get(0).bytes(), total.bytes());
        }
        try (Model m = open("counter"); Session s = m.session()) {
            assertEquals(0, s.run("read", Collections.singletonMap("factor", 0.5)).get(0).floats()[0], 0);
        }
    }

    private static final class Feedable {
        static String name(Object o) {
            return o.getClass().getSimpleName();
        }
    }

    @Test
    public void waysToTakeOutputs() throws Exception {
        float[] x = {14, 0.1f};
        try (Model m = open("triple"); Session s = m.session()) {
            float[] want = s.run(x).get(0).floats();
            float[] array = new float[3];
            FloatBuffer floats = direct(12).asFloatBuffer();
            floats.position(1);
            ByteBuffer bytes = direct(16);
            bytes.position(4);
            Tensor tensor = Tensor.zeros(DType.FLOAT32, 2, 1);
            FloatBuffer heap = FloatBuffer.wrap(new float[2]);
            for (Object to : new Object[] {array, floats, bytes, tensor, heap}) {
                Result r = s.run(Collections.singletonMap("x", x), new RunOptions().outputs(Collections.singletonMap("y", to)));
                assertArrayEquals(want, r.get("y").floats(), 0);
                assertArrayEquals(new int[] {2, 1}, r.get("y").shape());
            }
            assertArrayEquals(want, Arrays.copyOf(array, 2), 0);
            assertEquals(want[1], floats.get(2), 0);
            assertEquals(want[0], bytes.getFloat(4), 0);
            assertArrayEquals(want, tensor.floats(), 0);
            assertEquals(want[1], heap.get(1), 0);
        }
        try (Model m = open("dates"); Session s = m.session()) { // an output whose shape is the run's
            long[] text = Tensor64.codes("22 nov 2026"), codes = new long[40];
            Result r = s.run(Collections.singletonMap("text", text), new RunOptions().outputs(Collections.singletonMap("output", codes)));
            assertEquals("2026-11-22", Tensor64.text(Arrays.copyOf(codes, 10)));
            assertEquals("2026-11-22", Tensor64.text(r.get("output").longs()));
        }
    }

    private static final class Tensor64 {
        static long[] codes(String s) {
            long[] found = new long[s.length()];
            for (int k = 0; k < found.length; k++) found[k] = s.charAt(k);
            return found;
        }

        static String text(long[] codes) {
            StringBuilder s = new StringBuilder();
            for (long c : codes) s.append((char) c);
            return s.toString();
        }
    }

    @Test
    public void tensors() {
        assertArrayEquals(new int[] {3}, Tensor.of(new int[] {1, 2, 3}).shape());
        assertArrayEquals(new int[0], Tensor.of(new long[] {7}).shape());
        assertEquals(7, Tensor.of(new long[] {7}).item(), 0);
        assertEquals(1, Tensor.of(new boolean[] {true}).item(), 0);
        assertArrayEquals(new boolean[] {true, false}, Tensor.of(new boolean[] {true, false}).booleans());
        assertArrayEquals(new short[] {1, -2}, Tensor.of(new short[] {1, -2}).shorts());
        assertArrayEquals(new double[] {1, -2}, Tensor.of(new double[] {1, -2}).doubles(), 0);
        Tensor half = Tensor.zeros(DType.FLOAT16, 6);
        int[] bits = {0x3c00, 0xc000, 0x7c00, 1, 0x8000, 0x3555};
        for (int k = 0; k < 6; k++) half.buffer().putShort(2 * k, (short) bits[k]);
        assertArrayEquals(new float[] {1, -2, Float.POSITIVE_INFINITY, 0x1p-24f, -0f, 0.33325195f}, half.floats(), 0);
        Tensor brain = Tensor.zeros(DType.BFLOAT16, 1);
        brain.buffer().putShort(0, (short) 0xc040);
        assertArrayEquals(new float[] {-3}, brain.floats(), 0);
    }

    @Test
    public void state() throws Exception {
        try (Model m = open("counter"); Session a = m.session(); Session b = m.session()) {
            float[] x = {1, 2};
            assertEquals(2f, a.run(x).get("twice").floats()[0], 0);
            assertEquals(4f, a.run("add", Collections.singletonMap("x", x)).get("twice").floats()[0], 0);
            assertEquals("another entry point sees it", 20f, a.run("read", Collections.singletonMap("factor", 10)).get("scaled").floats()[0], 0);
            assertEquals("another session does not", 2f, b.run(x).get("twice").floats()[0], 0);
            a.resetState();
            assertEquals(2f, a.run(x).get("twice").floats()[0], 0);
        }
    }

    @Test
    public void taps() throws Exception {
        Object early = Vectors.input("early", "image"), late = Vectors.input("late", "image");
        final Map<String, Object> seen = new TreeMap<>();
        TapListener keep = new TapListener() {
            @Override
            public void onValue(String name, long[] iterations, Object value) {
                seen.put(name + Arrays.toString(iterations), value);
            }
        };
        try (Model m = open("digits"); Session s = m.session()) {
            try (Tap t = s.tap("*/late/*", keep)) {
                s.run(early);
                assertTrue("the branch not taken shows nothing", seen.isEmpty());
                s.run(late);
                assertTrue(seen.toString(), seen.containsKey("exit/if/relu1[]"));
                assertArrayEquals("axes are the source's", new int[] {1, 24, 8, 8}, ((Tensor) seen.get("exit/if/relu1[]")).shape());
            }
            seen.clear();
            s.run(late);
            assertTrue("closed", seen.isEmpty());
        }
        try (Model m = open("spin"); Session s = m.session()) {
            Object[] inputs = {5, new float[] {0, 0}};
            try (Tap t = s.tap("number@3", keep)) {
                s.run(inputs);
            } catch (WhitException fused) {
                assertTrue(fused.getMessage(), fused.getMessage().contains("fused"));
            }
            seen.clear();
            try (Tap t = s.tap("step", keep)) {
                Result r = s.run(inputs);
                assertEquals(5, seen.size());
                assertArrayEquals(r.get(0).floats(), ((Tensor) seen.get("repeat/next[4]")).floats(), 0);
            }
            seen.clear();
            try (Tap t = s.tap("next@3", keep)) {
                s.run(inputs);
                assertEquals(Collections.singleton("next[3]"), seen.keySet());
            }
        }
    }

    @Test
    public void listenerThatThrows() throws Exception {
        try (Model m = open("digits"); Session s = m.session()) {
            Object image = Vectors.input("early", "image");
            Tap tap = s.tap("features", new TapListener() {
                @Override
                public void onValue(String name, long[] iterations, Object value) {
                    throw new UnsupportedOperationException("no");
                }
            });
            try {
                s.run(image);
                fail();
            } catch (UnsupportedOperationException e) {
                assertEquals("no", e.getMessage());
            }
            tap.close();
            assertEquals(11, s.run(image).steps());
        }
    }

    @Test
    public void profile() throws Exception {
        try (Model m = open("digits"); Session s = m.session()) {
            s.startProfile();
            long steps = 0;
            for (int k = 0; k < 3; k++) steps += s.run(Vectors.input("late", "image")).steps();
            Profile p = s.stopProfile();
            long runs = 0;
            for (Profile.Item n : p.nodes()) {
                runs += n.runs();
                assertTrue(n.toString(), n.index() >= 0 && n.nanoseconds() > 0 && !n.operator().isEmpty());
            }
            assertEquals(steps, runs);
            long sum = 0;
            for (Profile.Item o : p.operators()) sum += o.nanoseconds();
            assertEquals(p.nanoseconds(), sum);
            assertTrue(p.operators().size() < p.nodes().size());
            assertTrue(s.arenaBytes() >= 64 && s.instanceBytes() > 1000 && s.stateBytes() == 0);
        }
    }

    @Test(timeout = 20000)
    public void cancel() throws Exception {
        try (Model m = open("spin"); final Session s = m.session()) {
            s.cancel(); // of nothing
            assertEquals(2, s.run(7, new float[] {1, 2}).get(0).size());
            for (int k = 0; k < 20; k++) {
                Thread other = later(k, new Runnable() {
                    @Override
                    public void run() {
                        s.cancel();
                    }
                });
                runCancelled(s, new RunOptions(), other);
            }
            assertEquals("usable again", 2, s.run(7, new float[] {1, 2}).get(0).size());
            for (int k = 0; k < 20; k++) {
                final Cancellation c = new Cancellation();
                Thread other = later(k % 3, new Runnable() {
                    @Override
                    public void run() {
                        c.cancel();
                    }
                });
                if (k == 0) other.join(); // before the run
                try {
                    s.run(SPIN, new RunOptions().cancellation(c));
                    fail();
                } catch (CancelledException expected) {
                    assertTrue(c.isCancelled());
                }
                other.join();
            }
        }
    }

    private static Thread later(final int ms, final Runnable what) {
        Thread t = new Thread() {
            @Override
            public void run() {
                try {
                    Thread.sleep(ms);
                } catch (InterruptedException e) {
                    return;
                }
                what.run();
            }
        };
        t.start();
        return t;
    }

    /** A cancel that comes before the run has begun is lost, by design: it is repeated. */
    private static void runCancelled(final Session s, RunOptions o, Thread other) throws Exception {
        final CountDownLatch done = new CountDownLatch(1);
        Thread again = new Thread() {
            @Override
            public void run() {
                try {
                    while (!done.await(5, java.util.concurrent.TimeUnit.MILLISECONDS)) s.cancel();
                } catch (InterruptedException e) {
                    return;
                }
            }
        };
        again.start();
        try {
            s.run(SPIN, o);
            fail("ran to its end");
        } catch (CancelledException e) {
            assertEquals(0x44, e.status());
        }
        done.countDown();
        again.join();
        other.join();
    }

    @Test
    public void budget() throws Exception {
        try (Model m = open("spin"); Session s = m.session(new SessionOptions().maxSteps(100))) {
            s.run(SPIN);
            fail();
        } catch (WhitException e) {
            assertEquals(0x45, e.status());
        }
    }
}
