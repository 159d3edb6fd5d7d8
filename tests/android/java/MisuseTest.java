import static org.junit.Assert.*;

import dev.whit.*;
import java.nio.*;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;
import org.junit.Test;

/** Wrong calls are exceptions that say what was expected; none ends the process. */
public class MisuseTest {
    interface Call {
        void run() throws Exception;
    }

    static String says(Class<? extends Exception> type, Call call) {
        try {
            call.run();
        } catch (Exception e) {
            if (type.isInstance(e)) return e.getMessage();
            throw new AssertionError("another exception", e);
        }
        throw new AssertionError("no exception");
    }

    static void says(Class<? extends Exception> type, String part, Call call) {
        String said = says(type, call);
        assertTrue(said, said.contains(part));
    }

    @Test
    public void files() throws Exception {
        byte[] good = Files.readAllBytes(Vectors.FOLDER.resolve("digits.whit"));
        says(WhitException.class, "not a .whit file", () -> Model.open(ByteBuffer.allocate(0)));
        says(WhitException.class, "not a .whit file", () -> Model.open(ByteBuffer.wrap(new byte[1000])));
        says(java.io.FileNotFoundException.class, "none.whit", () -> Model.open(Vectors.FOLDER.resolve("none.whit").toFile()));
        Path empty = Files.createTempFile("empty", ".whit");
        says(WhitException.class, "not a .whit file", () -> Model.open(empty.toFile()));
        Random random = new Random(1);
        int opened = 0;
        for (int k = 0; k < 600; k++) { // damaged: refused, or it runs to a result or an error
            byte[] bad = good.clone();
            if (k % 3 == 0) bad = Arrays.copyOf(bad, random.nextInt(bad.length));
            else for (int n = 0; n < 3; n++) bad[random.nextInt(2900)] = (byte) random.nextInt();
            try (Model m = Model.open(ByteBuffer.wrap(bad)); Session s = m.session(new SessionOptions().maxSteps(10000))) {
                opened++;
                m.toString();
                try (Tap t = s.tap("*", (name, i, value) -> { })) {
                    s.run(Vectors.input("early", "image"));
                }
            } catch (WhitException | IllegalArgumentException | IndexOutOfBoundsException e) {
                assertNotNull(e.getMessage());
            }
        }
        assertTrue("some damage is where it does no harm: " + opened, opened > 0);
    }

    @Test
    public void inputs() throws Exception {
        try (Model m = ApiTest.open("triple"); Session s = m.session()) {
            says(WhitException.class, "input 'x' is missing: expected float32 [", () -> s.run());
            says(WhitException.class, "2 inputs given; the model has 1: x", () -> s.run(new float[1], new float[1]));
            says(WhitException.class, "no input 'z'; it has x", () -> s.run(Collections.singletonMap("z", 1)));
            says(WhitException.class, "got double[1]", () -> s.run(new double[1]));
            says(WhitException.class, "got int[3]", () -> s.run(new int[3]));
            says(WhitException.class, "got a java.lang.String", () -> s.run("14"));
            says(WhitException.class, "got float32 [1, 2]", () -> s.run(Tensor.of(new float[2], 1, 2)));
            says(WhitException.class, "got int32 [1, 1]", () -> s.run(Tensor.of(new int[1], 1, 1)));
            says(WhitException.class, "got a java.util.ArrayList", () -> s.run(new ArrayList<Object>()));
            says(IllegalArgumentException.class, "order(ByteOrder.nativeOrder())", () -> s.run(ByteBuffer.allocateDirect(4)));
            says(WhitException.class, "no whole number", () -> s.run(ApiTest.direct(6)));
            ByteBuffer odd = ApiTest.direct(9);
            odd.position(1);
            says(WhitException.class, "multiple of its element's size", () -> s.run(odd));
            says(IllegalArgumentException.class, "no output is called 'z'; there are y", () -> s.run(new float[1]).get("z"));
            says(IllegalArgumentException.class, "output 1", () -> s.run(new float[1]).get(1));
            says(IllegalStateException.class, "longs() gives int64", () -> s.run(new float[1]).get(0).longs());
            says(IllegalArgumentException.class, "no entry point is called 'z'", () -> s.run("z", Collections.<String, Object>emptyMap()));
            assertEquals("still usable", 1, s.run(new float[1]).get(0).size());
        }
        try (Model m = ApiTest.open("wide"); Session s = m.session()) {
            says(WhitException.class, "got float[5]", () -> s.run(new float[5], new float[96]));
        }
        try (Model m = ApiTest.open("spin"); Session s = m.session()) {
            says(WhitException.class, "got Double 1.5", () -> s.run(1.5, new float[2]));
        }
        try (Model m = ApiTest.open("maybe"); Session s = m.session()) {
            says(WhitException.class, "dimension n is 3, but 2 in input 'x'", () -> s.run(new float[2], new float[3]));
        }
        try (Model m = ApiTest.open("lists"); Session s = m.session()) {
            says(WhitException.class, "input 'items[1]'", () -> s.run(Arrays.asList(new float[1], new int[1]), 0));
            says(IllegalArgumentException.class, "is a sequence", () -> s.run(Arrays.asList(new float[1]), 0).get("longer"));
        }
    }

    @Test
    public void outputs() throws Exception {
        try (Model m = ApiTest.open("triple"); Session s = m.session()) {
            Map<String, ?> x = Collections.singletonMap("x", new float[2]);
            for (Object to : new Object[] {new float[1], new int[2], ApiTest.direct(7), ApiTest.direct(8).asReadOnlyBuffer(), "y",
                Tensor.zeros(DType.FLOAT32, 1, 1), Tensor.wrap((ByteBuffer) ApiTest.direct(8).asReadOnlyBuffer().order(ByteOrder.nativeOrder()), DType.FLOAT32, 2, 1)})
                says(RuntimeException.class, () -> s.run(x, new RunOptions().outputs(Collections.singletonMap("y", to))));
            says(WhitException.class, "no output 'z'; it has y", () -> s.run(x, new RunOptions().outputs(Collections.singletonMap("z", to(s)))));
            ByteBuffer odd = ApiTest.direct(9);
            odd.position(1);
            says(WhitException.class, "multiple", () -> s.run(x, new RunOptions().outputs(Collections.singletonMap("y", odd))));
        }
    }

    private static Object to(Session s) {
        return new float[2];
    }

    @Test
    public void tensorsAndOptions() {
        says(IllegalArgumentException.class, "direct", () -> Tensor.wrap(ByteBuffer.allocate(4), DType.FLOAT32, 1));
        says(IllegalArgumentException.class, "bytes", () -> Tensor.wrap(ApiTest.direct(4), DType.FLOAT32, 2));
        says(IllegalArgumentException.class, "negative", () -> Tensor.zeros(DType.FLOAT32, -1));
        says(IllegalArgumentException.class, "2 GB", () -> Tensor.zeros(DType.FLOAT32, 1 << 20, 1 << 20));
        says(IllegalArgumentException.class, "axes", () -> Tensor.zeros(DType.FLOAT32, 1, 1, 1, 1, 1, 1, 1, 1, 1));
        says(IllegalArgumentException.class, "elements", () -> Tensor.of(new float[3], 2));
        says(IllegalStateException.class, "not one", () -> Tensor.of(new float[3]).item());
        says(IllegalArgumentException.class, "1 to 256", () -> new SessionOptions().threads(0));
        says(IllegalArgumentException.class, "1 to 256", () -> new SessionOptions().threads(257));
        says(IllegalArgumentException.class, "0 or more", () -> new SessionOptions().maxSteps(-1));
    }

    @Test
    public void closed() throws Exception {
        Model m = ApiTest.open("digits");
        Session s = m.session();
        Tap tap = s.tap("features", (name, i, value) -> { });
        m.close();
        says(IllegalStateException.class, "closed", m::session);
        says(IllegalStateException.class, "closed already", m::close);
        assertEquals("a session outlives its model", 11, s.run(Vectors.input("early", "image")).steps());
        s.close();
        says(IllegalStateException.class, "closed", () -> s.run(Vectors.input("early", "image")));
        says(IllegalStateException.class, "closed", s::resetState);
        says(IllegalStateException.class, "closed", s::startProfile);
        says(IllegalStateException.class, "closed", s::arenaBytes);
        says(IllegalStateException.class, "closed", () -> s.tap("x", null));
        says(IllegalStateException.class, "closed already", s::close);
        s.cancel();
        tap.close();
    }

    @Test
    public void fromAListener() throws Exception {
        try (Model m = ApiTest.open("digits"); Session s = m.session()) {
            for (Call c : new Call[] {() -> s.run(new float[64]), s::close, s::resetState, s::startProfile, () -> s.tap("x", null)}) {
                try (Tap t = s.tap("features", (name, i, value) -> {
                    try {
                        c.run();
                    } catch (RuntimeException e) {
                        throw e;
                    } catch (Exception e) {
                        throw new AssertionError(e);
                    }
                })) {
                    says(IllegalStateException.class, "listener", () -> s.run(Vectors.input("early", "image")));
                }
            }
            says(IllegalStateException.class, "startProfile() comes first", s::stopProfile);
            says(WhitException.class, "no value or node that runs is called 'featurez'", () -> s.tap("featurez", null));
        }
    }

    @Test(timeout = 60000)
    public void closeWhileRunning() throws Exception {
        for (int k = 0; k < 60; k++) {
            Model m = ApiTest.open("spin");
            Session s = m.session(new SessionOptions().threads(1 + k % 3));
            AtomicReference<Throwable> wrong = new AtomicReference<>();
            List<Thread> threads = new ArrayList<>();
            for (int t = 0; t < 3; t++) {
                threads.add(new Thread(() -> {
                    try {
                        while (true) s.run(ApiTest.SPIN);
                    } catch (CancelledException | IllegalStateException expected) {
                        return;
                    } catch (Throwable e) {
                        wrong.set(e);
                    }
                }));
            }
            for (Thread t : threads) t.start();
            Thread.sleep(k % 7);
            if (k % 2 == 0) m.close();
            s.close();
            if (k % 2 == 1) m.close();
            for (Thread t : threads) t.join();
            assertNull(String.valueOf(wrong.get()), wrong.get());
        }
    }

    @Test(timeout = 60000)
    public void manyThreads() throws Exception {
        try (Model digits = ApiTest.open("digits"); Model dates = ApiTest.open("dates"); Session shared = dates.session(new SessionOptions().threads(2))) {
            byte[] want = digits.session().run(Vectors.input("late", "image")).get(0).bytes(); // its session is left to the collector
            Object image = Vectors.input("late", "image"), text = Vectors.input("dates", "text");
            byte[] date = shared.run(text).get(0).bytes();
            ExecutorService pool = Executors.newFixedThreadPool(8);
            List<Future<?>> all = new ArrayList<>();
            for (int t = 0; t < 8; t++) {
                int threads = 1 + t % 2;
                all.add(pool.submit(() -> {
                    try (Session own = digits.session(new SessionOptions().threads(threads))) {
                        for (int k = 0; k < 150; k++) {
                            assertArrayEquals(want, own.run(image).get(0).bytes());
                            if (k % 10 == 0) assertArrayEquals(date, shared.run(text).get(0).bytes());
                        }
                    }
                    return null;
                }));
            }
            for (Future<?> f : all) f.get();
            pool.shutdown();
        }
    }
}
