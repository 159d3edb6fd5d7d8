package android.content.res;

import java.io.Closeable;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.IOException;

/** Stands for Android's class when the library is compiled and tested. */
public class AssetFileDescriptor implements Closeable {
    private final FileInputStream file;
    private final long offset;
    private final long length;

    AssetFileDescriptor(FileInputStream file, long offset, long length) {
        this.file = file;
        this.offset = offset;
        this.length = length;
    }

    public FileDescriptor getFileDescriptor() {
        try {
            return file.getFD();
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    public long getStartOffset() {
        return offset;
    }

    public long getLength() {
        return length;
    }

    @Override
    public void close() throws IOException {
        file.close();
    }
}
