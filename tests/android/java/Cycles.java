import dev.whit.*;
import java.nio.ByteBuffer;
import java.nio.file.*;
import java.util.*;

/** Opens, runs and closes n times; memory must not grow. Then leaves things open: the collector must report and free them. */
public class Cycles {
    static long residentKilobytes() throws Exception {
        for (String line : Files.readAllLines(Paths.get("/proc/self/status")))
            if (line.startsWith("VmRSS")) return Long.parseLong(line.replaceAll("\\D", ""));
        throw new AssertionError();
    }

    static int mappings() throws Exception {
        return Files.readAllLines(Paths.get("/proc/self/maps")).size();
    }

    public static void main(String[] args) throws Exception {
        int n = Integer.parseInt(args[0]);
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(Vectors.FOLDER.resolve("digits.whit")));
        Object image = Vectors.input("late", "image");
        byte[] want = null;
        long before = 0;
        int maps = 0;
        for (int k = 0; k < n; k++) {
            boolean file = k % 16 == 0;
            try (Model m = file ? ApiTest.open("digits") : Model.open(bytes); Session s = m.session(new SessionOptions().threads(1 + k % 64 / 63))) {
                byte[] got = s.run(image).get(0).bytes();
                if (want == null) want = got;
                if (!Arrays.equals(want, got)) throw new AssertionError("other bits in cycle " + k);
            }
            if (k == n / 4) {
                System.gc();
                before = residentKilobytes();
                maps = mappings();
            }
        }
        System.gc();
        Thread.sleep(100);
        long grown = residentKilobytes() - before;
        System.out.println(n + " cycles; resident memory grew by " + grown + " KB, mappings by " + (mappings() - maps));
        if (grown > 24 * 1024) throw new AssertionError("memory grows");
        if (mappings() - maps > 200) throw new AssertionError("mappings grow");
        leaks();
    }

    private static void leaks() throws Exception {
        List<String> reports = Collections.synchronizedList(new ArrayList<>());
        List<Throwable> places = Collections.synchronizedList(new ArrayList<>());
        Whit.setLeakListener((message, opened) -> {
            reports.add(message);
            if (opened != null) places.add(opened);
        });
        int maps = mappings();
        leave(20);
        Whit.trackLeaks(true);
        leave(1);
        for (int k = 0; k < 100 && reports.size() < 42; k++) {
            System.gc();
            Thread.sleep(20);
        }
        System.out.println(reports.size() + " leaks reported: " + reports.get(0));
        if (reports.size() != 42) throw new AssertionError(reports);
        if (places.size() != 2) throw new AssertionError(places);
        boolean here = false;
        for (StackTraceElement e : places.get(0).getStackTrace()) here |= e.getMethodName().equals("leave");
        if (!here) throw new AssertionError(places.get(0));
        for (int k = 0; k < 100 && mappings() - maps > 10; k++) { // mapped files go with their buffers, a collection later
            System.gc();
            Thread.sleep(20);
        }
        if (mappings() - maps > 10) throw new AssertionError("leaked memory was not given back");
    }

    private static void leave(int n) throws Exception {
        for (int k = 0; k < n; k++) ApiTest.open("triple").session(new SessionOptions().threads(1 + k % 2)).run(new float[] {1});
    }
}
