package dev.whit;

import android.content.res.AssetManager;
import java.io.File;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * An opened .whit file. Any number of threads may use it; each session made from it runs one run at a time.
 *
 * <pre>{@code
 * try (Model model = Model.open(file); Session session = model.session()) {
 *     float[] y = session.run(x).get("y").floats();
 * }
 * }</pre>
 */
public final class Model implements AutoCloseable {
    private final String name;
    private final boolean mapped;
    private final List<Signature> signatures;
    private final Memory memory;
    private Names names;

    /** The native model. Sessions keep it until the last of them is closed. */
    private static final class Memory extends Resource {
        final long handle;
        private final ByteBuffer file; // as long as it is read
        private int users = 1;

        Memory(Model owner, String name, long handle, ByteBuffer file) {
            super(owner, "the model " + name);
            this.handle = handle;
            this.file = file;
        }

        synchronized boolean use() {
            if (users > 0) users++;
            return users > 0;
        }

        synchronized void unuse() {
            if (--users == 0) Native.modelClose(handle);
        }

        @Override
        void free() {
            unuse();
        }
    }

    private static final class User implements Runnable {
        private final Memory kept;

        User(Memory kept) {
            this.kept = kept;
        }

        @Override
        public void run() {
            kept.unuse();
        }
    }

    private boolean closed;

    private Model(ByteBuffer file, boolean inPlace, String name) {
        int[] said = new int[2];
        int n = file.remaining();
        long handle = inPlace ? Native.modelOpen(file, file.position(), n, false, said) : 0;
        boolean misplaced = said[0] == Native.E_ALIGN;
        if (!inPlace || misplaced) handle = Native.modelOpen(file, file.position(), n, true, said);
        if (handle == 0) throw refusal(name, said[0], said[1]);
        this.name = name;
        mapped = inPlace && !misplaced;
        memory = new Memory(this, name, handle, mapped ? file : null);
        List<Signature> found = new ArrayList<>();
        byte[] entry;
        while ((entry = Native.modelText(handle, Native.TEXT_ENTRY, found.size(), 0, 0, 0)) != null)
            found.add(new Signature(handle, found.size(), Native.text(entry)));
        signatures = Collections.unmodifiableList(found);
    }

    private static WhitException refusal(String name, int status, int detail) {
        String text = name + ": " + Native.text(Native.statusText(status));
        if (status == Native.E_FORMAT) text += ": at byte " + (detail & 0xffffffffL);
        if (status == Native.E_OPERATOR)
            text = name + ": this library lacks an operator of the model (its hash is 0x" + Integer.toHexString(detail)
                + "): build it with this model, or whole";
        return new WhitException(status, "", "", text);
    }

    /** Maps a file. It must not be written to while the model is open. */
    public static Model open(File file) throws IOException {
        try (FileInputStream in = new FileInputStream(file)) {
            return map(in.getChannel(), 0, file.length(), file.getPath());
        }
    }

    /**
     * A model in memory, from the buffer's position to its limit. A direct buffer that is read-only, as a mapped file is, is used
     * in place, and must stay unchanged; any other is copied.
     */
    public static Model open(ByteBuffer bytes) {
        if (!bytes.isDirect()) {
            ByteBuffer direct = ByteBuffer.allocateDirect(bytes.remaining());
            direct.put(bytes.duplicate());
            direct.flip();
            return new Model(direct, false, "<bytes>");
        }
        return new Model(bytes.slice(), bytes.isReadOnly(), "<bytes>");
    }

    /**
     * Maps a part of an open file, as an uncompressed asset is one of its archive. The descriptor may be closed afterwards. A part
     * that does not begin at a multiple of 16 is copied instead.
     */
    public static Model open(FileDescriptor file, long offset, long length) throws IOException {
        // Not closed: the descriptor is the caller's.
        return map(new FileInputStream(file).getChannel(), offset, length, "<file>");
    }

    /**
     * An asset of an app: {@code Model.open(context.getAssets(), "model.whit")}. Mapped if it is stored uncompressed and begins at
     * a multiple of 16 in its archive, else copied; {@link #isMapped} tells.
     */
    public static Model open(AssetManager assets, String name) throws IOException {
        return Assets.open(assets, name);
    }

    static Model map(FileChannel channel, long offset, long length, String name) throws IOException {
        if (length > Integer.MAX_VALUE) throw new IOException(name + ": larger than the 2 GB that Java can map");
        if (length <= 0) throw refusal(name, Native.E_FORMAT, 0);
        return new Model(channel.map(FileChannel.MapMode.READ_ONLY, offset, length), true, name);
    }

    /** Whether the file is read in place, from the pages that the system keeps of it, and not from a copy. */
    public boolean isMapped() {
        return mapped;
    }

    /** What the model takes and gives: of its first entry point. */
    public Signature signature() {
        return signatures.get(0);
    }

    /** The entry point of a name. */
    public Signature signature(String entry) {
        for (Signature s : signatures) if (s.name().equals(entry)) return s;
        throw new IllegalArgumentException("no entry point is called '" + entry + "'; there are " + signatures().keySet());
    }

    /** All entry points by name. */
    public Map<String, Signature> signatures() {
        Map<String, Signature> found = new LinkedHashMap<>();
        for (Signature s : signatures) found.put(s.name(), s);
        return Collections.unmodifiableMap(found);
    }

    List<Signature> entries() {
        return signatures;
    }

    /** Something that runs the model, on one thread. */
    public Session session() {
        return session(new SessionOptions());
    }

    /** Something that runs the model. It may outlive the model's closing. */
    public synchronized Session session(SessionOptions options) {
        long handle = use();
        try {
            return new Session(this, handle, options);
        } catch (RuntimeException | Error e) {
            memory.unuse();
            throw e;
        }
    }

    /** Keeps the native model until {@link #user} was run. */
    private long use() {
        if (closed || !memory.use()) throw new IllegalStateException("the model " + name + " is closed");
        return memory.handle;
    }

    /** What lets go of the native model. */
    Runnable user() {
        return new User(memory);
    }

    /** Names of the source model's values. The caller keeps the native model. */
    synchronized Names names() {
        try {
            if (names == null) names = new Names(Native.modelBytes(memory.handle));
        } catch (IndexOutOfBoundsException e) { // libraries of the size profile do not check them
            throw new WhitException("the names in the file are damaged: convert the model again");
        }
        return names;
    }

    /** No more sessions can be made. Memory is given back when the last session is closed. */
    @Override
    public synchronized void close() {
        if (closed) throw new IllegalStateException("the model " + name + " is closed already");
        closed = true;
        memory.close();
    }

    @Override
    public String toString() {
        return name + " " + signatures;
    }
}
