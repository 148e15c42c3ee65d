package wire

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// tokens feeds a stream in pieces of the given sizes (the last one is repeated) and writes down what
// the scanner made of it; pieces of one literal are joined.
func tokens(t *testing.T, stream []byte, sizes ...int) (tokens []string, all []byte) {
	t.Helper()
	var s Scanner
	open := false
	for len(stream) > 0 {
		n := min(max(sizes[0], 1), len(stream))
		if len(sizes) > 1 {
			sizes = sizes[1:]
		}
		piece := bytes.Clone(stream[:n])
		stream = stream[n:]
		err := s.Feed(piece, func(l []byte, start bool) {
			kind := "more"
			if start {
				kind = "line"
			}
			tokens, open = append(tokens, kind+" "+string(l)), false
			all = append(all, l...)
		}, func(octets []byte) {
			if !open {
				tokens, open = append(tokens, "lit "), true
			}
			tokens[len(tokens)-1] += string(octets)
			all = append(all, octets...)
		})
		if err != nil {
			return append(tokens, err.Error()), nil
		}
	}
	return tokens, append(all, s.Rest()...)
}

func TestScanner(t *testing.T) {
	for _, c := range []struct {
		name, stream string
		want         []string
	}{
		{"lines", "* 1 EXISTS\r\n* OK\n", []string{"line * 1 EXISTS\r\n", "line * OK\n"}},
		{"literal", "* 1 FETCH (BODY[] {5}\r\na\r\nb) UID 1)\r\n", []string{
			"line * 1 FETCH (BODY[] {5}\r\n", "lit a\r\nb)", "more  UID 1)\r\n",
		}},
		{"literal that looks like lines", "* 1 FETCH (BODY[] {14}\r\nT1 OK x {9}\r\n*)\r\nT1 OK x\r\n", []string{
			"line * 1 FETCH (BODY[] {14}\r\n", "lit T1 OK x {9}\r\n*", "more )\r\n", "line T1 OK x\r\n",
		}},
		{"empty literal", "* 1 FETCH (BODY[] {0}\r\n)\r\n", []string{
			"line * 1 FETCH (BODY[] {0}\r\n", "more )\r\n",
		}},
		{"two literals", "* LIST () {1}\r\n. {3}\r\na}b\r\nT1 OK\r\n", []string{
			"line * LIST () {1}\r\n", "lit .", "more  {3}\r\n", "lit a}b", "more \r\n", "line T1 OK\r\n",
		}},
		{"pushed and binary", "T1 APPEND a {2+}\r\nxy\r\nT2 X ~{1}\r\nz\r\n", []string{
			"line T1 APPEND a {2+}\r\n", "lit xy", "more \r\n", "line T2 X ~{1}\r\n", "lit z", "more \r\n",
		}},
		{"blank before the line end", "* X {1} \r\nz\r\n", []string{"line * X {1} \r\n", "lit z", "more \r\n"}},
		{"leading zeros", "* X {001}\r\nz\r\n", []string{"line * X {001}\r\n", "lit z", "more \r\n"}},
		{"words for people hold no literal", "* OK see {5}\r\nT1 NO {7}\r\n+ {3}\r\n* BYE {1}\r\n", []string{
			"line * OK see {5}\r\n", "line T1 NO {7}\r\n", "line + {3}\r\n", "line * BYE {1}\r\n",
		}},
		{"no literals", "* X {}\r\n* X {a}\r\n* X 5}\r\n* X {99999999999999999999}\r\n* X \"{5}\"\r\n", []string{
			"line * X {}\r\n", "line * X {a}\r\n", "line * X 5}\r\n", "line * X {99999999999999999999}\r\n",
			"line * X \"{5}\"\r\n",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for size := 1; size <= len(c.stream); size++ {
				got, all := tokens(t, []byte(c.stream), size)
				if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
					t.Fatalf("in pieces of %d: got %q, want %q", size, got, c.want)
				}
				if string(all) != c.stream {
					t.Fatalf("in pieces of %d: octets changed: %q", size, all)
				}
			}
		})
	}
}

func TestScannerLimit(t *testing.T) {
	long := strings.Repeat("x", MaxLine)
	for _, size := range []int{MaxLine + 2, 4096} {
		got, _ := tokens(t, []byte(long+"\r\n"), size)
		if last := got[len(got)-1]; last != ErrLineTooLong.Error() {
			t.Errorf("pieces of %d: the line was taken", size)
		}
	}
	got, _ := tokens(t, []byte("* X {2000000}\r\n"+strings.Repeat("y", 2_000_000)+"\r\n"), 4096)
	if len(got) != 3 {
		t.Errorf("a literal is no line, but got %d tokens", len(got))
	}
}

func TestScannerAtStart(t *testing.T) {
	var s Scanner
	for _, c := range []struct {
		octets string
		want   bool
	}{{"T1 LOG", false}, {"OUT\r\n", true}, {"T2 X {2+}\r\n", false}, {"a", false}, {"b", false}, {"\r\n", true}, {"T3 X {5}\r\n", false}} {
		_ = s.Feed([]byte(c.octets), func([]byte, bool) {}, func([]byte) {})
		if s.AtStart() != c.want {
			t.Errorf("after %q: AtStart %v", c.octets, !c.want)
		}
	}
	if s.Cancel(); !s.AtStart() {
		t.Error("a cancelled literal is still awaited")
	}
}

func FuzzScanner(f *testing.F) {
	f.Add([]byte("* 1 FETCH (UID 1 BODY[] {5}\r\nab\r\nc)\r\nT1 OK done {3}\r\n"), []byte{1, 7, 3})
	f.Add([]byte("{4}\r\n{9}\n{1+}\n\n~{0}\r\n"), []byte{2})
	f.Fuzz(func(t *testing.T, stream, cuts []byte) {
		sizes := []int{len(stream)}
		whole, all := tokens(t, stream, sizes...)
		sizes = nil
		for _, c := range cuts {
			sizes = append(sizes, int(c))
		}
		pieces, again := tokens(t, stream, append(sizes, 11)...)
		if fmt.Sprintf("%q", whole) != fmt.Sprintf("%q", pieces) {
			t.Errorf("whole %q, in pieces %q", whole, pieces)
		}
		if !bytes.Equal(all, stream) || !bytes.Equal(again, stream) {
			t.Errorf("octets changed: %q, %q, %q", stream, all, again)
		}
	})
}
