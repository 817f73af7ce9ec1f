// SPDX-License-Identifier: Apache-2.0
//! stack_rust touches memory through the standard library's generic code: vectors, strings, maps, a sort with a closure, threads.
use std::collections::{BTreeMap, HashMap};

fn words(seed: u64, n: usize) -> Vec<String> {
    let mut state = seed;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            format!("{:x}{:x}", state >> 32, state)
        })
        .collect()
}

fn count(words: &[String]) -> usize {
    let mut by_length: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    let mut by_first: HashMap<char, Vec<String>> = HashMap::new();
    for word in words {
        by_length.entry(word.len()).or_default().push(word);
        by_first.entry(word.chars().next().unwrap()).or_default().push(word.clone());
    }
    by_length.len() + by_first.len()
}

fn work(seed: u64) -> usize {
    let mut all = words(seed, 40_000);
    all.sort_by(|a, b| a[1..].cmp(&b[1..]));
    all.dedup();
    count(&all) + all.concat().len()
}

fn main() {
    let mut total = 0;
    for round in 0..20 {
        let threads: Vec<_> = (0..2).map(|i| std::thread::spawn(move || work(round * 2 + i))).collect();
        total += work(round + 100) + threads.into_iter().map(|one| one.join().unwrap()).sum::<usize>();
    }
    println!("{total}");
}
