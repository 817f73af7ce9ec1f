// SPDX-License-Identifier: Apache-2.0

//go:build go1.18
// +build go1.18

package main

type list[T any] struct{ items []T }

func (l *list[T]) each(f func(T) int) (sum int) {
	for _, item := range l.items {
		sum += apply(item, f)
	}
	return sum
}

func apply[T any](item T, f func(T) int) int { return f(item) + outer(1) }

func generic() {
	l := list[string]{[]string{"a"}}
	l.each(func(s string) int { return outer(len(s)) })
	m := list[map[int]struct{ a [2]int }]{make([]map[int]struct{ a [2]int }, 1)}
	m.each(func(v map[int]struct{ a [2]int }) int { return physical(len(v)) })
}
