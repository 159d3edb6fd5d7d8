package dev.whit;

/** A model that cannot be opened, inputs that do not fit it, or a run that met a value it cannot work with. */
public class WhitException extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final int status;
    private final String node;
    private final String operator;
    private final String cause;

    WhitException(int status, String node, String operator, String cause) {
        super(where(node, operator) + cause);
        this.status = status;
        this.node = node;
        this.operator = operator;
        this.cause = cause;
    }

    WhitException(String cause) {
        this(Native.E_INPUT, "", "", cause);
    }

    private static String where(String node, String operator) {
        if (operator.isEmpty()) return "";
        return (node.isEmpty() ? "" : "node '" + node + "' ") + "(" + operator + "): ";
    }

    /** The whit_status of whit.h. */
    public int status() {
        return status;
    }

    /** Name of the source model's node that failed; empty if the error is not a node's or names were stripped. */
    public String node() {
        return node;
    }

    /** Operator of the node that failed; empty if the error is not a node's. */
    public String operator() {
        return operator;
    }

    /** What was wrong, without the node. */
    public String causeText() {
        return cause;
    }
}
