// SPDX-License-Identifier: Apache-2.0
// A JVM's first minute: it begins to work on many things, whose code is compiled one after the other while objects come and go.
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

public class Minute {
    private static List<String> words(int seed) {
        return IntStream.range(0, 20_000).mapToObj(i -> "w" + (i * 31 + seed) % 4096).collect(Collectors.toList());
    }

    private static Map<String, Integer> counts(List<String> words) {
        Map<String, Integer> found = new HashMap<>();
        for (String word : words) found.merge(word, 1, Integer::sum);
        return found;
    }

    private static int matches(List<String> words, String pattern) {
        Pattern compiled = Pattern.compile(pattern);
        return (int) words.stream().filter(word -> compiled.matcher(word).matches()).count();
    }

    private static double[][] product(int n, int seed) {
        double[][] all = new double[n][n];
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) all[i][j] = Math.sin(i * seed) * j;
        return all;
    }

    public static void main(String[] args) throws InterruptedException {
        long end = System.nanoTime() + 60_000_000_000L;
        List<Object> kept = new ArrayList<>();
        for (int round = 0; System.nanoTime() < end; round++) {
            List<String> words = words(round);
            kept.add(counts(words));
            kept.add(product(64 + round % 64, round));
            kept.add(matches(words, "w[0-9]*" + round % 10 + "[a-z]?"));
            kept.add(String.join(",", words).split(","));
            if (kept.size() > 400) kept.subList(0, 200).clear();
            Thread.sleep(20);
        }
        System.out.println(kept.size());
    }
}
