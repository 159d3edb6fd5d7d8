package dev.whit;

import android.content.res.AssetFileDescriptor;
import android.content.res.AssetManager;
import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;

/** What needs Android: models among an app's assets. */
final class Assets {
    private Assets() {}

    static Model open(AssetManager assets, String name) throws IOException {
        AssetFileDescriptor part;
        try {
            part = assets.openFd(name);
        } catch (IOException e) { // compressed, or not there: then the next line says so
            return copy(assets, name);
        }
        try {
            if (part.getLength() < 0) return copy(assets, name);
            // The stream is not closed: the descriptor is the part's.
            FileInputStream in = new FileInputStream(part.getFileDescriptor());
            return Model.map(in.getChannel(), part.getStartOffset(), part.getLength(), name);
        } finally {
            part.close();
        }
    }

    private static Model copy(AssetManager assets, String name) throws IOException {
        try (InputStream in = assets.open(name)) {
            ByteArrayOutputStream all = new ByteArrayOutputStream();
            byte[] some = new byte[1 << 16];
            for (int n; (n = in.read(some)) > 0;) all.write(some, 0, n);
            return Model.open(ByteBuffer.wrap(all.toByteArray()));
        }
    }
}
