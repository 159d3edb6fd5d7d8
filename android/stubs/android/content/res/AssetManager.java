package android.content.res;

import java.io.File;
import java.io.FileInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;

/** Stands for Android's class when the library is compiled and tested: assets are the files of a folder, those named .z compressed. */
public class AssetManager {
    private final File folder;
    private final long offset;

    public AssetManager(File folder, long offset) {
        this.folder = folder;
        this.offset = offset;
    }

    public InputStream open(String name) throws IOException {
        FileInputStream in = new FileInputStream(new File(folder, name));
        if (in.skip(offset) != offset) throw new IOException("too short");
        return in;
    }

    public AssetFileDescriptor openFd(String name) throws IOException {
        if (name.endsWith(".z"))
            throw new FileNotFoundException("This file can not be opened as a file descriptor; it is probably compressed");
        return new AssetFileDescriptor(new FileInputStream(new File(folder, name)), offset, new File(folder, name).length() - offset);
    }
}
