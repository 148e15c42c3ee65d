package zenc

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// encode makes a frame of data, written in pieces of so many octets.
func encode(t testing.TB, data []byte, windowLog, piece int) []byte {
	t.Helper()
	var out bytes.Buffer
	e, err := New(&out, windowLog)
	if err != nil {
		t.Fatal(err)
	}
	write(t, e, data, piece)
	return out.Bytes()
}

func write(t testing.TB, e *Encoder, data []byte, piece int) {
	t.Helper()
	for len(data) > 0 {
		n := min(piece, len(data))
		if _, err := e.Write(data[:n]); err != nil {
			t.Fatal(err)
		}
		data = data[n:]
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// decode is a decoder that allows no larger window than was promised.
func decode(t testing.TB, frame []byte, windowLog int) []byte {
	t.Helper()
	dec, err := zstd.NewReader(bytes.NewReader(frame), zstd.WithDecoderMaxWindow(1<<windowLog), zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	plain, err := io.ReadAll(dec)
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	return plain
}

func check(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	t.Fatalf("%s: %d octets where %d were encoded, first difference at %d", what, len(got), len(want), at)
}

// samples are octets of every kind that the encoder treats in its own way.
func samples() map[string][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 300_000)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	var lines, words, skewed bytes.Buffer
	for i := range 9000 {
		fmt.Fprintf(&lines, "> line %d of a mail, quoted %d times\r\n", i%700, i%3)
		words.WriteString([]string{"meeting ", "regards\n", "日本語", "the ", "a", "\x00\x00"}[rng.IntN(6)])
		skewed.WriteByte("aaaaaaaaaaaaaaaabbbbcd"[rng.IntN(22)])
	}
	attachment := base64.StdEncoding.AppendEncode(nil, random[:200_000])
	// A match in a block that is then written raw, and the same offset in the next block: the decoder has not seen the first.
	raw := bytes.Clone(random[:2*maxBlock])
	copy(raw[100:106], raw[40:])
	for i := range 900 {
		raw[maxBlock+60+i] = raw[maxBlock+i]
	}
	for i := range 20_000 {
		raw[maxBlock+4000+i] = "abcdefgh"[raw[maxBlock+4000+i]&7]
	}
	twice := bytes.Join([][]byte{attachment, random[:70_000], attachment, lines.Bytes(), attachment[100:]}, []byte("\r\n"))
	return map[string][]byte{
		"empty": nil, "octet": {7}, "few": []byte("ab\n"), "31": random[:31], "32": bytes.Repeat([]byte("ab"), 16),
		"zeros": make([]byte, 700_000), "random": random, "lines": lines.Bytes(), "words": words.Bytes(),
		"skewed": skewed.Bytes(), "base64": attachment, "twice": twice, "raw": raw,
		"block": random[:maxBlock], "block+1": random[:maxBlock+1], "block of zeros": make([]byte, maxBlock),
		"long match": append(bytes.Clone(random), random...),
		"period 3":   bytes.Repeat([]byte("abc"), 100_000), "period 7": bytes.Repeat([]byte("abcdef\n"), 50_000),
	}
}

func TestRoundTrip(t *testing.T) {
	for name, data := range samples() {
		for _, windowLog := range []int{10, 13, 17, 20, 26} {
			for _, piece := range []int{1 << 20, 4099} {
				frame := encode(t, data, windowLog, piece)
				check(t, fmt.Sprintf("%s, window log %d, pieces of %d", name, windowLog, piece), decode(t, frame, windowLog), data)
				// A header and a checksum, and three octets for each block.
				if most := len(data) + 10 + 3*(1+len(data)>>min(windowLog, 17)); len(frame) > most {
					t.Errorf("%s: %d octets of frame for %d", name, len(frame), len(data))
				}
			}
		}
	}
}

// TestReferenceDecoder has the frames read by the zstd program, which is who will read them in twenty years.
func TestReferenceDecoder(t *testing.T) {
	program, err := exec.LookPath("zstd")
	if err != nil {
		t.Skip("no zstd program")
	}
	var frames, want []byte
	for _, data := range samples() {
		for _, windowLog := range []int{10, 17, 27} {
			frames = append(frames, encode(t, data, windowLog, 1<<20)...)
			want = append(want, data...)
		}
	}
	cmd := exec.Command(program, "-dc")
	cmd.Stdin = bytes.NewReader(frames)
	got, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	check(t, "zstd -dc", got, want)
}

// TestFarMatch: what has occurred a whole window ago costs next to nothing, what lies behind it is out of reach.
func TestFarMatch(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	random := make([]byte, 600_000)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	attachment := append([]byte{'\n'}, base64Lines(random[:60_000])...)
	filler := base64Lines(random[60_000:])
	data := bytes.Join([][]byte{attachment, filler, attachment}, nil)
	once := len(encode(t, data[:len(data)-len(attachment)], 20, 1<<16))
	for windowLog, cheap := range map[int]bool{20: true, 19: false} {
		frame := encode(t, data, windowLog, 1<<16)
		check(t, "far match", decode(t, frame, windowLog), data)
		if extra := len(frame) - once; (extra < 300) != cheap {
			t.Errorf("window log %d: the second copy costs %d octets of %d", windowLog, extra, len(attachment))
		}
	}
}

func base64Lines(data []byte) []byte {
	var out []byte
	for len(data) > 0 {
		n := min(57, len(data))
		out = append(base64.StdEncoding.AppendEncode(out, data[:n]), "\r\n"...)
		data = data[n:]
	}
	return out
}

// TestLongFrame is longer than window and slack, so that the buffer moves several times.
func TestLongFrame(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	piece := samples()["twice"]
	var data []byte
	for len(data) < 3*slack {
		from := rng.IntN(len(piece) - 1000)
		data = append(data, piece[from:from+1+rng.IntN(len(piece)-from)]...)
	}
	for _, windowLog := range []int{15, 20} {
		check(t, fmt.Sprint("window log ", windowLog), decode(t, encode(t, data, windowLog, 100_000), windowLog), data)
	}
}

// TestReset: a frame does not depend on the one before it, not even on one that was not ended.
func TestReset(t *testing.T) {
	data := samples()["twice"]
	want := encode(t, data, 20, 1<<20)
	var out bytes.Buffer
	e, err := New(io.Discard, 20)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := e.Write(data[i*1000 : 400_000+i]); err != nil {
			t.Fatal(err)
		}
		out.Reset()
		e.Reset(&out)
		write(t, e, data, 1<<20)
		check(t, "after Reset", out.Bytes(), want)
		e.Reset(io.Discard)
	}
}

func TestErrors(t *testing.T) {
	for _, windowLog := range []int{MinWindowLog - 1, MaxWindowLog + 1} {
		if _, err := New(io.Discard, windowLog); err == nil {
			t.Errorf("window log %d was taken", windowLog)
		}
	}
	e, err := New(failing{}, 20)
	if err != nil {
		t.Fatal(err)
	}
	_, first := e.Write(make([]byte, 3*maxBlock))
	if second := e.Close(); !errors.Is(first, errFailing) || !errors.Is(second, errFailing) {
		t.Errorf("errors %v, %v, want the writer's", first, second)
	}
	e.Reset(io.Discard)
	e.base = maxFrame - 10
	if _, err := e.Write(make([]byte, 11)); !errors.Is(err, ErrFrameTooLong) {
		t.Errorf("error %v, want ErrFrameTooLong", err)
	}
}

var errFailing = errors.New("disk full")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFailing }

// TestHeader: small frames ask for little memory.
func TestHeader(t *testing.T) {
	for size, want := range map[int]uint64{0: 1 << 10, 1000: 1 << 10, 5000: 1 << 13, maxBlock - 1: maxBlock, maxBlock + 1: 1 << 26} {
		var h zstd.Header
		if err := h.Decode(encode(t, make([]byte, size), 26, 1<<20)); err != nil {
			t.Fatal(err)
		}
		if h.WindowSize != want || !h.HasCheckSum {
			t.Errorf("%d octets: window %d, checksum %t; want %d and a checksum", size, h.WindowSize, h.HasCheckSum, want)
		}
	}
}

// FuzzRoundTrip builds octets from pieces of what was there before and new ones, as the input says, and reads them back.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("hello, hello, hello\nhello"), uint8(10), uint16(7))
	f.Add(samples()["twice"][:5000], uint8(12), uint16(1000))
	f.Add(bytes.Repeat([]byte("\x00\xff\x10\x20line\n"), 99), uint8(20), uint16(0xFFFF))
	encoders := make(map[int]*Encoder) // made once: to make one costs more than to use it
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		f.Fatal(err)
	}
	defer dec.Close()
	f.Fuzz(func(t *testing.T, in []byte, window uint8, piece uint16) {
		data := unfold(in)
		windowLog := MinWindowLog + int(window)%9
		var out bytes.Buffer
		e := encoders[windowLog]
		if e == nil {
			var err error
			if e, err = New(&out, windowLog); err != nil {
				t.Fatal(err)
			}
			encoders[windowLog] = e
		}
		e.Reset(&out)
		write(t, e, data, 1+int(piece))
		got, err := dec.DecodeAll(out.Bytes(), nil)
		if err != nil {
			t.Fatal(err)
		}
		check(t, "round trip", got, data)
	})
}

// unfold makes up to 128 KiB of a few octets: some say how much to copy from where, the others stand for themselves.
func unfold(in []byte) []byte {
	var out []byte
	for len(in) > 0 && len(out) < 1<<17 {
		op := in[0]
		if op < 0xE0 || len(in) < 5 || len(out) == 0 {
			out = append(out, op)
			in = in[1:]
			continue
		}
		from := int(binary.LittleEndian.Uint16(in[1:])) * int(op&15) % len(out)
		n := int(binary.LittleEndian.Uint16(in[3:])) & 0x7FFF
		if op < 0xF0 {
			n &= 63
		}
		for range n {
			out = append(out, out[from])
			from++
		}
		in = in[5:]
	}
	return out
}

func BenchmarkEncode(b *testing.B) {
	data := samples()["twice"]
	e, err := New(io.Discard, 26)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		write(b, e, data, 32<<10)
		e.Reset(io.Discard)
	}
}
