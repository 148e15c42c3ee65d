package cli

import (
	"errors"
	"strings"
	"testing"

	"mailark/internal/limit"
	"mailark/internal/session"
)

func TestParseSize(t *testing.T) {
	tests := map[string]int64{
		"0": 0, "500": 500, "500K": 500_000, "500k": 500_000, "1.5M": 1_500_000, "2 MB": 2_000_000, "1G": 1e9, "1T": 1e12,
		"64Ki": 64 << 10, "64KiB": 64 << 10, "1.5MiB": 3 << 19, "2gib": 2 << 30,
		"": -1, "K": -1, "-1": -1, "1e6": -1, "0x10": -1, "inf": -1, "NaN": -1, "1i": -1, "1X": -1, "1KM": -1, "1M/s": -1,
		"1.2.3": -1, ".": -1, "99999999T": -1, "1_000": -1, "٣": -1,
	}
	for text, want := range tests {
		got, err := parseSize(text)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("parseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, text := range []string{"500K", "1.5MiB", "1e9", "-2", "\xff1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := parseSize(text); err == nil && n < 0 {
			t.Errorf("parseSize(%q) = %d", text, n)
		}
	})
}

func TestLimitsFlags(t *testing.T) {
	tests := []struct {
		args  string
		want  limit.Limits
		paced bool
		wrong string // in the error
	}{
		{"", limit.Limits{}, false, ""},
		{"--bwlimit 2M", limit.Limits{}, true, ""},
		{"--bwlimit 0", limit.Limits{}, false, ""},
		{"--bwlimit 500", limit.Limits{}, false, "less than 1,000 octets"},
		{"--bwlimit fast", limit.Limits{}, false, "want a number such as"},
		{"--max-transfer 1G --max-duration 2h", limit.Limits{Transfer: 1e9, Duration: 7200e9}, false, ""},
		{"--max-duration -2h", limit.Limits{}, false, "want a positive time"},
	}
	for _, test := range tests {
		var l Limits
		var o session.Options
		err := l.Section().Flags.Parse(strings.Fields(test.args))
		var got limit.Limits
		if err == nil {
			got, err = l.Apply(&o)
		}
		if (err != nil) != (test.wrong != "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%s: error %v, want %q", test.args, err, test.wrong)
		}
		if got != test.want || (o.Pace != nil) != test.paced {
			t.Errorf("%s: %+v, pace %v", test.args, got, o.Pace)
		}
	}
}

// A limit is told from other ends by its exit code, however deep it lies.
func TestLimitExit(t *testing.T) {
	err := &session.Error{Op: "FETCH", Err: &limit.Error{Flag: "--max-transfer", Value: "1 kB"}}
	if got := ExitCode(errors.Join(errors.New("other"), err)); got != ExitLimit {
		t.Errorf("exit code %d", got)
	}
}
