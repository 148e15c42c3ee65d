package main

import (
	"bytes"
	"testing"
)

func TestSampleIsTheSameEveryTime(t *testing.T) {
	a, b := sample(), sample()
	count, seen := 0, map[string]int{}
	for i := range a {
		for j := range a[i].msgs {
			x, y := a[i].msgs[j], b[i].msgs[j]
			if !bytes.Equal(x.octets, y.octets) || !x.date.Equal(y.date) {
				t.Fatalf("%s: message %d differs", a[i].name, j)
			}
			count++
			seen[string(x.octets)]++
		}
	}
	copies := count - len(seen)
	if count < 250 || count > 350 || copies < 20 {
		t.Errorf("%d messages, %d of them copies; want some 300 and 20", count, copies)
	}
}
