package dev.whit;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Where the time of some runs went. */
public final class Profile {
    /** One node of the model, all of its executions together; of an operator, all of its nodes. */
    public static final class Item {
        private final int index;
        private final String operator;
        private final String name;
        private long runs;
        private long nanoseconds;

        Item(int index, String operator, String name, long runs, long nanoseconds) {
            this.index = index;
            this.operator = operator;
            this.name = name;
            this.runs = runs;
            this.nanoseconds = nanoseconds;
        }

        /** Number of the node in the model; -1 for an operator. */
        public int index() {
            return index;
        }

        public String operator() {
            return operator;
        }

        /** Name of the source model's node; empty if names were stripped. */
        public String name() {
            return name;
        }

        /** How often it was executed. */
        public long runs() {
            return runs;
        }

        /** A control node's time does not contain that of what is in it. Reading the clock is part of it: some 0.1 us. */
        public long nanoseconds() {
            return nanoseconds;
        }

        @Override
        public String toString() {
            return "#" + index + " " + operator + " " + name + ": " + runs + " runs, " + nanoseconds + " ns";
        }
    }

    private static final Comparator<Item> SLOWEST_FIRST = new Comparator<Item>() {
        @Override
        public int compare(Item a, Item b) {
            return Long.compare(b.nanoseconds, a.nanoseconds);
        }
    };

    private final List<Item> nodes;

    Profile(List<Item> nodes) {
        Collections.sort(nodes, SLOWEST_FIRST);
        this.nodes = Collections.unmodifiableList(nodes);
    }

    /** The nodes that ran, slowest first. */
    public List<Item> nodes() {
        return nodes;
    }

    /** The same summed by operator, slowest first. */
    public List<Item> operators() {
        Map<String, Item> sums = new LinkedHashMap<>();
        for (Item n : nodes) {
            Item sum = sums.get(n.operator);
            if (sum == null) sums.put(n.operator, sum = new Item(-1, n.operator, "", 0, 0));
            sum.runs += n.runs;
            sum.nanoseconds += n.nanoseconds;
        }
        List<Item> found = new ArrayList<>(sums.values());
        Collections.sort(found, SLOWEST_FIRST);
        return found;
    }

    public long nanoseconds() {
        long sum = 0;
        for (Item n : nodes) sum += n.nanoseconds;
        return sum;
    }
}
