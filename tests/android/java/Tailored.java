import dev.whit.*;
import java.util.Map;

/** On a library that was built for digits.whit. */
public class Tailored {
    public static void main(String[] args) throws Exception {
        for (String name : new String[] {"early", "late"}) {
            Vectors.Case c = Vectors.named(name);
            try (Model m = c.open(); Session s = m.session(new SessionOptions().threads(2))) {
                Result r = s.run(c.runs.get(0).inputs);
                for (Map.Entry<String, Object> e : c.runs.get(0).outputs.entrySet()) Vectors.same(name, e.getValue(), r.asMap().get(e.getKey()));
            }
        }
        System.out.println("same bits");
        try (Model m = ApiTest.open("dates")) {
            throw new AssertionError("opened " + m);
        } catch (WhitException e) {
            System.out.println(e.getMessage());
        }
    }
}
