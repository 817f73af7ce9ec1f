// SPDX-License-Identifier: Apache-2.0
// A list of lists of strings that is kept, most of it allocated by code that was compiled at run time.
import java.util.*;
public class Keep {
  static List<String> fill(int n) {
    List<String> all = new ArrayList<>();
    for (int i = 0; i < n; i++) all.add("name " + i);
    return all;
  }
  public static void main(String[] arguments) throws Exception {
    List<List<String>> kept = new ArrayList<>();
    for (int i = 0; i < 8; i++) kept.add(fill(100000));
    System.out.println("ready");
    System.in.read();
    System.out.println(kept.size());
  }
}
